//! The page: its files, compiled in, so that it asks for nothing from elsewhere.
//!
//! Road taken: HTML, style sheets and ECMAScript modules as browsers read them, each a file below `page/`; they read the API like
//! anybody else. Roads not taken: a framework and its bundler, which building would then need; one large script.

use super::{Page, Route};

/// Its files: one row each.
#[rustfmt::skip] // a table
pub(super) const FILES: &[Route] = &[
    Route { path: "/", content_type: "text/html; charset=utf-8", parameters: None, page: Page::File(include_bytes!("page/index.html")) },
    Route { path: "/assets/icon.svg", content_type: "image/svg+xml", parameters: None, page: Page::File(include_bytes!("page/icon.svg")) },
    style("/assets/app.css", include_bytes!("page/app.css")),
    style("/assets/parts.css", include_bytes!("page/parts.css")),
    style("/assets/views.css", include_bytes!("page/views.css")),
    script("/assets/api.js", include_bytes!("page/api.js")),
    script("/assets/app.js", include_bytes!("page/app.js")),
    script("/assets/budget.js", include_bytes!("page/budget.js")),
    script("/assets/destinations.js", include_bytes!("page/destinations.js")),
    script("/assets/device.js", include_bytes!("page/device.js")),
    script("/assets/dom.js", include_bytes!("page/dom.js")),
    script("/assets/empty.js", include_bytes!("page/empty.js")),
    script("/assets/evidence.js", include_bytes!("page/evidence.js")),
    script("/assets/feed.js", include_bytes!("page/feed.js")),
    script("/assets/grid.js", include_bytes!("page/grid.js")),
    script("/assets/health.js", include_bytes!("page/health.js")),
    script("/assets/map.js", include_bytes!("page/map.js")),
    script("/assets/matrix.js", include_bytes!("page/matrix.js")),
    script("/assets/overview.js", include_bytes!("page/overview.js")),
    script("/assets/phases.js", include_bytes!("page/phases.js")),
    script("/assets/profile.js", include_bytes!("page/profile.js")),
    script("/assets/route.js", include_bytes!("page/route.js")),
    script("/assets/strip.js", include_bytes!("page/strip.js")),
    script("/assets/words.js", include_bytes!("page/words.js")),
    script("/assets/world.js", include_bytes!("page/world.js")),
];

const fn script(path: &'static str, text: &'static [u8]) -> Route {
    Route { path, content_type: "text/javascript; charset=utf-8", parameters: None, page: Page::File(text) }
}

const fn style(path: &'static str, text: &'static [u8]) -> Route {
    Route { path, content_type: "text/css; charset=utf-8", parameters: None, page: Page::File(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> String {
        let route = FILES.iter().find(|route| route.path == path).unwrap_or_else(|| panic!("{path} is not served"));
        match route.page {
            Page::File(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            _ => panic!("{path} is no file"),
        }
    }

    /// What a file names in quotes behind a word.
    fn named<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
        text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn it_names_the_source_of_locations_and_loads_only_its_own_files() {
        let page = text("/");
        assert!(page.contains("href=\"https://db-ip.com\" rel=\"noreferrer\">IP Geolocation by DB-IP<"));
        assert!(!page.contains("<script>") && !page.contains("<style") && !page.contains(" style=") && !page.contains(" onload="));
        let loaded: Vec<&str> = [named(&page, "<script type=\"module\" src=\""), named(&page, "rel=\"stylesheet\" href=\"")].concat();
        assert_eq!(loaded.len(), 4);
        loaded.into_iter().for_each(|path| drop(text(path)));
    }

    #[test]
    fn each_script_is_small_says_what_it_is_and_imports_what_is_served() {
        for route in FILES.iter().filter(|route| route.path.ends_with(".js")) {
            let script = text(route.path);
            assert!(script.starts_with("// ") && script.lines().count() < 400, "{}", route.path);
            for import in named(&script, " from \"./") {
                let path = format!("/assets/{import}");
                assert!(FILES.iter().any(|route| route.path == path), "{} imports {path}", route.path);
            }
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage", "document.cookie"] {
                assert!(!script.contains(word), "{} has {word}", route.path);
            }
        }
    }
}
