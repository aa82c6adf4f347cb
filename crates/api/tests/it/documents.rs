//! The documents that the API makes of its description, and the pages of docs/reference.

use std::collections::BTreeSet;
use std::path::Path;

use http::Method;
use postrider_api::{ApiOptions, Code, openapi, reference, routes};
use serde_json::Value;

use crate::app::App;
use crate::described::DESCRIPTION;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn the_pages_of_the_reference_are_what_the_description_makes() {
    for (path, made) in reference() {
        let page = std::fs::read_to_string(root().join(path)).unwrap_or_default();
        let same = page.lines().zip(made.lines()).take_while(|(is, should)| is == should).count();
        assert!(page == made, "{path}:{}: run `cargo run -p xtask -- docs`", same + 1);
    }
}

#[test]
fn the_reference_names_every_route_field_parameter_and_code() {
    let [(_, api), (_, errors), _] = reference();
    for route in routes() {
        assert!(api.contains(&format!("`{} {}`", route.method, route.path)), "{route:?}");
    }
    for schema in DESCRIPTION["components"]["schemas"].as_object().unwrap().values() {
        for field in schema["properties"].as_object().unwrap().keys() {
            assert!(api.contains(&format!("`{field}`")), "{field}");
        }
    }
    for code in Code::ALL {
        assert!(
            errors.contains(&format!("## `{}`\n\n{} ", code.as_str(), code.status().as_u16())),
            "{code:?}"
        );
    }
}

#[tokio::test]
async fn the_description_is_served_as_it_is() {
    let app = App::new().await;
    let served = app.ask(Method::GET, "/openapi.json").send().await;
    assert_eq!(served.expect(200), openapi());
    assert_eq!(served.body, app.ask(Method::GET, "/openapi.json").send().await.body);
}

#[tokio::test]
async fn the_page_for_people_needs_nothing_else_and_explains_every_code() {
    let app = App::new().await;
    let page = app.ask(Method::GET, "/docs").send().await;
    assert_eq!(
        (page.status.as_u16(), page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline';"), "{policy}");
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    for loading in ["<script", "<link", "<img", "@import", "url(", "src="] {
        assert!(!html.contains(loading), "{loading}");
    }
    let anchors: Vec<&str> = html.split("id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let unique: BTreeSet<&str> = anchors.iter().copied().collect();
    assert_eq!(anchors.len(), unique.len(), "an anchor is there twice");
    for link in html.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(unique.contains(link), "#{link} leads nowhere");
    }
    for code in Code::ALL {
        assert!(unique.contains(format!("error-{}", code.as_str()).as_str()), "{code:?}");
    }
}

#[tokio::test]
async fn links_lead_to_where_the_server_is_reached() {
    let options = ApiOptions {
        public_url: Some("https://hooks.example.com/".to_owned()),
        ..ApiOptions::default()
    };
    let app = App::with(options, |_| {}).await;
    let described = app.ask(Method::GET, "/openapi.json").send().await.expect(200);
    assert_eq!(described["servers"][0]["url"], "https://hooks.example.com");
    let error = app.ask(Method::GET, "/nothing").send().await.expect(404);
    assert_eq!(error["docs"], "https://hooks.example.com/docs#error-route_not_found");
    let error = App::new().await.ask(Method::GET, "/nothing").send().await.expect(404);
    assert_eq!(error["docs"], "/docs#error-route_not_found");
}

/// Every word that stands behind one of these in the sources of a folder.
fn words_behind(folder: &Path, marks: &[&str], found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            words_behind(&path, marks, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source: String = std::fs::read_to_string(&path).unwrap().split_whitespace().collect();
            for mark in marks {
                let words = source.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(words.map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_code_of_a_wrong_parameter_is_described_and_no_other_is() {
    let mut used = BTreeSet::from(["missing_header", "event_id_taken", "event_id_expired", "two_credentials"].map(str::to_owned));
    words_behind(&root().join("crates/api/src"), &["Bad::new(\""], &mut used);
    let url = std::fs::read_to_string(root().join("crates/model/src/url.rs")).unwrap();
    let of_urls = url
        .split("=> \"url_")
        .skip(1)
        .map(|rest| format!("url_{}", rest.split('"').next().unwrap()));
    used.extend(of_urls);
    let known = &DESCRIPTION["components"]["schemas"]["WrongParameter"]["properties"]["code"]["enum"];
    let known: BTreeSet<String> = known
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    assert_eq!(used, known);
}
