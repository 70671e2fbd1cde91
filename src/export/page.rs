//! The landing page: what runs here and where to look.

use super::{ROUTES, VERSION};

/// Plain HTML, no script, nothing loaded from elsewhere.
pub(super) fn landing() -> String {
    let links: String =
        ROUTES.iter().filter(|route| route.path != "/").map(|route| format!("<li><a href=\"{0}\">{0}</a></li>\n", route.path)).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>whither</title></head>\n<body>\n\
         <h1>whither</h1>\n<p>Where does each device send its data? This sensor reads it from the traffic that passes; \
         it sends nothing itself. Version {VERSION}.</p>\n<ul>\n{links}</ul>\n\
         <p>Countries are estimates. <a href=\"https://db-ip.com\">IP Geolocation by DB-IP</a></p>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_links_every_page_and_names_the_source_of_locations() {
        let page = super::landing();
        for part in [
            "href=\"/metrics\"",
            "href=\"/api/v1/destinations\"",
            "href=\"/-/healthy\"",
            "href=\"/api/v1/devices\"",
            "href=\"https://db-ip.com\">IP Geolocation by DB-IP<",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }
}
