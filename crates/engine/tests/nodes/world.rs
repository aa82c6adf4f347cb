//! A store, and nodes on it that live and die.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_engine::{Engine, EventIn, NodeSettings, Parts, Settings, StoreClock};
use postrider_model::account::Account;
use postrider_model::delivery::Status;
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::name::EventName;
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::slot::{SLOTS, Slot};
use postrider_model::time::{Monotonic, Timestamp};
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::Webhook;
use postrider_ports::clock::Sleep;
use postrider_ports::nodes::{NodeToken, Roles, Wake};
use postrider_ports::once::Write;
use postrider_ports::store::{NewEvent, Submission, Submitted};
use postrider_ports::{Clock, Nodes as _, Random as _, Registry as _, Store as _};
use postrider_testkit::clock::SimClock;
use postrider_testkit::memory_nodes::MemoryNodes;
use postrider_testkit::memory_store::MemoryStore;
use postrider_testkit::random::SeededRandom;
use tokio::runtime::Runtime;

use crate::receivers::{Does, NodeSender, Receivers, Sent};

pub(crate) const ACCOUNT: AccountId = AccountId::from_u128(1);
pub(crate) const LEASE: Duration = Duration::from_secs(5);
const TURNS: usize = 40;

/// A machine whose wall clock is off by so much.
struct Skewed(SimClock, i64);

impl Clock for Skewed {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.0.wall().as_millis() + self.1)
    }

    fn mono(&self) -> Monotonic {
        self.0.mono()
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        self.0.sleep_until(deadline)
    }
}

/// A process.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) engine: Engine,
    pub(crate) door: Arc<MemoryNodes>,
    runtime: Runtime,
    /// It gets no turns: as after SIGSTOP.
    is_stopped: bool,
}

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: SimClock,
    pub(crate) hall: MemoryNodes,
    pub(crate) receivers: Arc<Receivers>,
    random: Arc<SeededRandom>,
    /// Those that live; `None` where one has died.
    pub(crate) nodes: Vec<Option<Node>>,
    /// Events whose POST was answered with success.
    pub(crate) acknowledged: Arc<Mutex<Vec<EventId>>>,
    pub(crate) set: fn(&mut Settings),
}

impl World {
    /// A store with an account, and no nodes.
    pub(crate) fn empty(seed: u64) -> Self {
        let clock = SimClock::new();
        let store = Arc::new(MemoryStore::shared());
        let hall = MemoryNodes::new(clock.clone());
        let world = Self {
            receivers: Arc::new(Receivers::new(clock.clone(), hall.beside())),
            random: Arc::new(SeededRandom::new(seed)),
            nodes: Vec::new(),
            acknowledged: Arc::default(),
            set: |_| {},
            store,
            clock,
            hall,
        };
        let now = world.clock.wall();
        let account = Account {
            id: ACCOUNT,
            external_id: None,
            name: "Acme".to_owned(),
            is_active: true,
            created_at: now,
            modified_at: now,
        };
        let runtime = runtime();
        runtime.block_on(world.store.create_account(account)).unwrap();
        world
    }

    /// The same with so many nodes that share the slots.
    pub(crate) fn with(nodes: usize) -> Self {
        let mut world = Self::empty(7);
        for _ in 0..nodes {
            world.start();
        }
        world.pass(LEASE);
        world
    }

    pub(crate) fn start(&mut self) -> usize {
        self.start_as(Roles { api: true, dispatch: true }, 0)
    }

    pub(crate) fn start_as(&mut self, roles: Roles, skew_millis: i64) -> usize {
        let index = self.nodes.len();
        let name = format!("node-{index}");
        let door = Arc::new(self.hall.beside());
        let clock: Arc<dyn Clock> = Arc::new(StoreClock::new(Arc::new(Skewed(self.clock.clone(), skew_millis))));
        let mut settings = Settings {
            node: NodeSettings {
                name: name.clone(),
                roles,
                lease: LEASE,
                ..NodeSettings::default()
            },
            ..Settings::default()
        };
        (self.set)(&mut settings);
        let parts = Parts {
            store: self.store.clone(),
            sender: Arc::new(NodeSender {
                node: name.clone(),
                receivers: Arc::clone(&self.receivers),
                clock: Arc::clone(&clock),
            }),
            clock,
            random: self.random.clone(),
            nodes: Some(door.clone()),
        };
        let runtime = runtime();
        let engine = runtime.block_on(Engine::start(parts, settings)).expect("the store answers");
        self.nodes.push(Some(Node {
            name,
            engine,
            door,
            runtime,
            is_stopped: false,
        }));
        index
    }

    pub(crate) fn node(&self, index: usize) -> &Node {
        self.nodes[index].as_ref().expect("it lives")
    }

    pub(crate) fn living(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.nodes[*index].is_some()).collect()
    }

    /// As by kill -9.
    pub(crate) fn kill(&mut self, index: usize) {
        if let Some(node) = self.nodes[index].take() {
            let name = node.name.clone();
            drop(node);
            self.receivers.died(&name);
        }
    }

    /// It dies, and others know it at once: its slots are nobody's, and all look at them.
    pub(crate) fn bury(&mut self, index: usize) {
        let name = self.node(index).name.clone();
        self.kill(index);
        let roster = self.hall.look_roster();
        let row = roster.nodes.iter().find(|node| node.report.name == name).expect("it has beaten");
        assert!(runtime().block_on(self.hall.remove_node(row.token, row.beat)).unwrap());
        self.wake_all(Wake::Slots);
    }

    /// Lets time pass until a node beats: it has sent the beat.
    pub(crate) fn pass_to_beat_of(&self, index: usize) {
        let beat = || {
            let nodes = self.hall.look_roster().nodes;
            nodes
                .into_iter()
                .find(|node| node.report.name == self.node(index).name)
                .map(|node| node.beat)
        };
        let before = beat();
        while beat() == before {
            self.pass(Duration::from_millis(10));
        }
    }

    pub(crate) fn stand_still(&mut self, index: usize, is_stopped: bool) {
        self.nodes[index].as_mut().expect("it lives").is_stopped = is_stopped;
    }

    /// A graceful end.
    pub(crate) fn shut_down(&mut self, index: usize) {
        let done = Arc::new(Mutex::new(None));
        let answer = Arc::clone(&done);
        self.call(index, |engine| async move {
            let is_done = engine.shutdown(Duration::from_secs(30)).await;
            *answer.lock() = Some(is_done);
        });
        for _ in 0..1_000 {
            self.settle();
            if done.lock().is_some() {
                break;
            }
            self.clock.advance_to_next();
        }
        assert_eq!(*done.lock(), Some(true), "it ended in time");
        self.kill(index);
    }

    /// Somebody calls a node; what it learns goes into the world.
    pub(crate) fn call<F>(&self, index: usize, call: impl FnOnce(Engine) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let node = self.node(index);
        drop(node.runtime.spawn(call(node.engine.clone())));
    }

    pub(crate) fn webhook_at(&self, index: usize, number: u128) -> WebhookId {
        let (id, now) = (WebhookId::from_u128(number), self.clock.wall());
        let webhook = Webhook {
            id,
            account: ACCOUNT,
            url: WebhookUrl::parse(&format!("https://h{number}.example.com/"), &UrlPolicy::default()).unwrap(),
            description: None,
            is_active: true,
            event_names: Vec::new(),
            secrets: vec![WebhookSecret {
                secret: SigningSecret::from_bytes(&[7; 32]).unwrap(),
                expires_at: None,
            }],
            health: Health::Well,
            created_at: now,
            modified_at: now,
        };
        self.call(index, |engine| async move {
            engine.write(Write::CreateWebhook(webhook, 1_000), None).await.unwrap();
        });
        self.settle();
        id
    }

    /// So many webhooks, that fall into slots of all nodes.
    pub(crate) fn webhooks(&self, count: u128) -> Vec<WebhookId> {
        let index = self.living()[0];
        (1..=count).map(|number| self.webhook_at(index, number * 7_919)).collect()
    }

    pub(crate) fn post_at(&self, index: usize) {
        let acknowledged = Arc::clone(&self.acknowledged);
        self.call(index, |engine| async move {
            // As the API does: what is stale is read again.
            for _ in 0..3 {
                let Ok(Some(entry)) = engine.account(ACCOUNT).await else { return };
                let event = EventIn {
                    name: EventName::parse("order.filled").unwrap(),
                    resource: Resource {
                        id: "1".to_owned(),
                        resource_type: "order".to_owned(),
                    },
                    data: "{}",
                    id: None,
                };
                match engine.ingest(&entry, vec![event], None).await {
                    Ok(ingested) => {
                        acknowledged.lock().push(ingested[0].event.id.clone());
                        return;
                    }
                    Err(postrider_engine::IngestError::KeyChanged) => {}
                    Err(_) => return,
                }
            }
        });
    }

    /// An event for a webhook comes into the store, and nobody is told.
    pub(crate) fn commit_silently(&self, webhook: WebhookId) {
        let now = self.clock.wall();
        let account = self.store.look_account(ACCOUNT).unwrap();
        let draft = EventDraft {
            name: EventName::parse("order.filled").unwrap(),
            resource: Resource {
                id: "1".to_owned(),
                resource_type: "order".to_owned(),
            },
            data: "{}",
        };
        let event = Event::new(ACCOUNT, EventId::new(now, self.random.bits()), draft, now);
        let submission = Submission {
            account: ACCOUNT,
            version: account.version,
            events: vec![NewEvent {
                event: Arc::new(event),
                deliveries: vec![(DeliveryId::new(now, self.random.bits()), webhook)],
            }],
            keep: None,
        };
        let stored = runtime().block_on(self.store.commit_events(vec![submission])).unwrap();
        assert!(matches!(stored[..], [Submitted::Stored(_)]));
    }

    /// From now on nobody wakes anybody.
    pub(crate) fn hall_is_silent(&self) {
        self.nodes.iter().flatten().for_each(|node| node.door.lose_wakes(true));
    }

    /// All other nodes are woken for this by one that names no sender.
    pub(crate) fn wake_all(&self, wake: Wake) {
        runtime().block_on(self.hall.wake(NodeToken(0), None, vec![wake])).unwrap();
    }

    /// Lets all nodes do what they can without time.
    pub(crate) fn settle(&self) {
        for _ in 0..3 {
            for node in self.nodes.iter().flatten().filter(|node| !node.is_stopped) {
                node.runtime.block_on(async {
                    for _ in 0..TURNS {
                        tokio::task::yield_now().await;
                    }
                });
            }
        }
    }

    /// Time passes, and whoever waited for it does what it waited for.
    pub(crate) fn pass(&self, length: Duration) {
        let end = self.clock.mono() + length;
        self.settle();
        while let Some(next) = self.clock.next_deadline().filter(|next| *next <= end) {
            self.clock.advance(next.since(self.clock.mono()));
            self.settle();
        }
        self.clock.advance(end.since(self.clock.mono()));
        self.settle();
    }

    /// Which living node owns the webhook's slot.
    pub(crate) fn owner(&self, webhook: WebhookId) -> Option<usize> {
        let roster = self.hall.look_roster();
        let owner = roster.owner(Slot::of(webhook))?;
        let name = &roster.nodes.iter().find(|node| node.token == owner)?.report.name;
        self.living().into_iter().find(|index| self.node(*index).name == *name)
    }

    /// How many slots each living node owns.
    pub(crate) fn shares(&self) -> Vec<usize> {
        let roster = self.hall.look_roster();
        let share = |index: usize| {
            let name = &self.node(index).name;
            let token = roster.nodes.iter().find(|node| node.report.name == *name).map(|node| node.token);
            Slot::all().filter(|slot| token.is_some() && roster.owner(*slot) == token).count()
        };
        self.living().into_iter().map(share).collect()
    }

    /// Whether the living nodes own every slot between them.
    pub(crate) fn is_whole(&self) -> bool {
        self.shares().iter().sum::<usize>() == usize::from(SLOTS)
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.receivers.sent()
    }

    pub(crate) fn sent_to(&self, webhook: WebhookId) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| sent.webhook == webhook).collect()
    }

    pub(crate) fn let_it(&self, webhook: WebhookId, does: Does) {
        self.receivers.let_it(webhook, does);
    }

    pub(crate) fn pending(&self) -> usize {
        let all = self.store.look_deliveries();
        all.iter()
            .filter(|record| matches!(record.delivery.status, Status::Pending { .. }))
            .count()
    }

    pub(crate) fn succeeded(&self) -> usize {
        let all = self.store.look_deliveries();
        all.iter()
            .filter(|record| matches!(record.delivery.status, Status::Succeeded { .. }))
            .count()
    }

    /// What must hold at any time.
    pub(crate) fn check(&self) {
        assert_eq!(self.receivers.violations(), Vec::<String>::new());
    }
}

fn runtime() -> Runtime {
    // Without a time driver: what waited for real time would panic.
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}
