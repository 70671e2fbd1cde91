//! What a watched host is for: a closed set, because it is a label of a metric.

/// What a watched host is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// The list does not say.
    #[default]
    Unclassified,
    /// Reports on use, device or faults.
    Telemetry,
    /// Advertising.
    Ads,
    /// Settings that the maker can change from afar.
    Config,
    /// Says which region's servers to use.
    RegionRouting,
    /// Resolves names over HTTP: later flows have no DNS.
    Httpdns,
    /// Checks of links, files or apps.
    Security,
    /// Long connections for messages to the device.
    Push,
    /// Log-in.
    Account,
    /// Storage of the user's data.
    Cloud,
    /// Apps and themes.
    Store,
    /// System updates.
    Update,
    /// Is there internet?
    CaptivePortal,
    /// What time is it?
    Time,
    /// Where am I: satellite orbits, Wi-Fi and cell positions.
    LocationAssist,
    /// Hides the destination.
    Relay,
    /// A resolver's encrypted DNS.
    Doh,
    /// A service that the user would name.
    Service,
    /// Things at home.
    Iot,
}

/// How many categories there are.
pub const CATEGORIES: usize = ALL.len();

/// Every category and its label value, in the order of their numbers.
const ALL: [(Category, &str); 19] = [
    (Category::Unclassified, "unclassified"),
    (Category::Telemetry, "telemetry"),
    (Category::Ads, "ads"),
    (Category::Config, "config"),
    (Category::RegionRouting, "region_routing"),
    (Category::Httpdns, "httpdns"),
    (Category::Security, "security"),
    (Category::Push, "push"),
    (Category::Account, "account"),
    (Category::Cloud, "cloud"),
    (Category::Store, "store"),
    (Category::Update, "update"),
    (Category::CaptivePortal, "captive_portal"),
    (Category::Time, "time"),
    (Category::LocationAssist, "location_assist"),
    (Category::Relay, "relay"),
    (Category::Doh, "doh"),
    (Category::Service, "service"),
    (Category::Iot, "iot"),
];

impl Category {
    /// Every category, in the order of their numbers: [`Category::Unclassified`] first.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.into_iter().map(|(category, _)| category)
    }

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        ALL.iter().find(|(category, _)| *category == self).map_or("unclassified", |(_, name)| name)
    }

    /// What any phone does in the background, and what looks like a beacon without being one.
    #[must_use]
    pub const fn is_noise(self) -> bool {
        matches!(self, Self::CaptivePortal | Self::Time | Self::Push)
    }

    /// The category of a label value.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, other)| *other == name).map(|(category, _)| *category)
    }
}
