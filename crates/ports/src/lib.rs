//! What the engine asks of the world: stores, a sender, time and chance. The adapters below it implement these traits;
//! the engine knows nothing else of them.

pub mod archive;
pub mod clock;
pub mod error;
pub mod nodes;
pub mod once;
pub mod page;
pub mod random;
pub mod registry;
pub mod sender;
pub mod store;

pub use archive::Archive;
pub use clock::Clock;
pub use error::StoreError;
pub use nodes::Nodes;
pub use page::{Page, PageAsk};
pub use random::Random;
pub use registry::Registry;
pub use sender::Sender;
pub use store::Store;
