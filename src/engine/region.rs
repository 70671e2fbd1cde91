//! What a name says of where its server is: a witness beside the address databases and the handshake's time.
//!
//! Road taken: tables of tokens, each only under the suffixes of those who write it there. A name is what its owner wrote: it may say
//! whom a server is for, and not where it stands, so a token gives a country only where published evidence ties it to a place.
//! Road not taken: top-level domains (`metrics-dre.dt.dbankcloud.cn` is Europe), bare names (no token says nothing), and airport
//! codes anywhere in any name (`sin`, `fra` and `lon` are also syllables).

use crate::engine::geo::Country;

/// A place written into a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it says to be.
    pub area: Area,
    /// What says so.
    pub token: &'static str,
    /// Whose word it is.
    pub kind: Whose,
}

/// Where a token points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// To one country.
    Country(Country),
    /// To somewhere in Europe.
    Europe,
    /// To somewhere in Asia.
    Asia,
    /// To Asia, Africa and Latin America, served together.
    South,
    /// To everywhere but the vendor's home, no place in particular.
    International,
}

/// Whose word a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The phone's maker wrote it into its own name.
    Vendor,
    /// The cloud provider's region: it stands in a building there.
    Cloud,
}

impl Area {
    /// Whether a country lies there; `None` where the area is too wide to say.
    #[must_use]
    pub fn holds(self, country: Country) -> Option<bool> {
        match self {
            Self::Country(own) => Some(own == country),
            Self::Europe => Some(EUROPE.contains(&country.as_str())),
            Self::Asia | Self::South | Self::International => None,
        }
    }

    /// For a person.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::Country(country) => country.name(),
            Self::Europe => "Europe",
            Self::Asia => "Asia",
            Self::South => "Asia, Africa and Latin America",
            Self::International => "places outside the vendor's home",
        }
    }
}

/// The region that a full name (lower case, no dot at its end) or an alias of it names, if it names one. A cloud's word goes
/// before a vendor's, and a country before a wider area.
#[must_use]
pub fn region_of_name(name: &str) -> Option<Region> {
    let of_cloud = CLOUDS.iter().find_map(|cloud| {
        let labels = under(name, cloud.suffixes)?;
        let rule = cloud.regions.iter().find(|(region, _)| labels.split('.').any(|label| is_region(label, region)))?;
        Some(region(rule.0, rule.1, Whose::Cloud))
    });
    of_cloud.or_else(|| {
        let vendor = VENDORS.iter().find_map(|vendor| Some((vendor.rules, under(name, vendor.suffixes)?)));
        let (rules, labels) = vendor?;
        rules.iter().find(|rule| rule.form.fits(labels, rule.token)).map(|rule| region(rule.token, rule.area, Whose::Vendor))
    })
}

fn region(token: &'static str, area: &str, kind: Whose) -> Region {
    let area = match area {
        "europe" => Area::Europe,
        "asia" => Area::Asia,
        "south" => Area::South,
        code => Country::from_code(code).map_or(Area::International, Area::Country),
    };
    Region { area, token, kind }
}

/// The labels before one of the suffixes.
fn under<'a>(name: &'a str, suffixes: &[&str]) -> Option<&'a str> {
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)?.strip_suffix('.'))
}

/// Whether a label is a cloud's region, alone or with something tied to it: `oss-eu-central-1`, `europe-west1-project`.
fn is_region(label: &str, region: &str) -> bool {
    let Some(at) = label.find(region) else { return false };
    let (before, rest) = (label.get(..at).unwrap_or_default(), label.get(at + region.len()..).unwrap_or_default());
    (before.is_empty() || before.ends_with('-')) && (rest.is_empty() || rest.starts_with('-'))
}

/// Where in a name a token stands.
#[derive(Clone, Copy)]
enum Form {
    /// It is a whole label.
    Label,
    /// It is the first label.
    First,
    /// The first label begins with it.
    Begins,
    /// A label ends with it.
    Ends,
}

impl Form {
    fn fits(self, labels: &str, token: &str) -> bool {
        let first = || labels.split('.').next().unwrap_or_default();
        match self {
            Self::Label => labels.split('.').any(|label| label == token),
            Self::First => first() == token,
            Self::Begins => first().starts_with(token),
            Self::Ends => labels.split('.').any(|label| label.ends_with(token)),
        }
    }
}

/// A vendor's names, and its tokens, the more certain ones first.
struct Vendor {
    suffixes: &'static [&'static str],
    rules: &'static [Rule],
}

struct Rule {
    form: Form,
    token: &'static str,
    area: &'static str,
}

const fn rule(form: Form, token: &'static str, area: &'static str) -> Rule {
    Rule { form, token, area }
}

use Form::{Begins, Ends, First, Label};

const VENDORS: &[Vendor] = &[
    // Xiaomi. `intl` was Singapore in 2021 by Leith and by the NKSC, but no name says so.
    Vendor {
        suffixes: &["xiaomi.com", "xiaomi.net", "miui.com", "mi.com"],
        rules: &[
            rule(Label, "alisgp", "SG"),
            rule(Label, "awssgp0", "SG"),
            rule(Label, "awsde0", "DE"),
            rule(Label, "awsind", "IN"),
            rule(Label, "awsusor0", "US"),
            rule(Label, "idmb", "IN"),
            rule(Label, "sgp", "SG"),
            rule(Label, "sg", "SG"),
            rule(Begins, "sgp", "SG"),
            rule(First, "fr", "DE"),
            rule(Begins, "in-", "IN"),
            rule(Label, "india", "IN"),
            rule(Label, "rus", "RU"),
            rule(Label, "ru", "RU"),
            rule(Label, "us", "US"),
            rule(Label, "eu", "europe"),
            rule(Label, "intl", "international"),
            rule(Label, "global", "international"),
        ],
    },
    // Huawei and Honor write the data region at the end of a label.
    Vendor {
        suffixes: &[
            "hicloud.com",
            "dbankcloud.com",
            "dbankcloud.cn",
            "dbankcloud.asia",
            "dbankcloud.eu",
            "dbankcloud.ru",
            "hihonorcloud.com",
            "huawei.com",
        ],
        rules: &[
            rule(Ends, "-drcn", "CN"),
            rule(Ends, "-drru", "RU"),
            rule(Ends, "-dre", "europe"),
            rule(Label, "configserverdre", "europe"),
            rule(Ends, "-dra", "south"),
        ],
    },
    // OPPO, OnePlus, Realme. `-fr` is taken as Europe: some of these tokens name the phone's market.
    Vendor {
        suffixes: &[
            "heytapmobile.com",
            "heytapmobi.com",
            "heytapdl.com",
            "heytapimage.com",
            "heytapdownload.com",
            "allawnos.com",
            "allawntech.com",
            "coloros.com",
            "oppomobile.com",
            "realmemobile.com",
        ],
        rules: &[
            rule(Ends, "-cn", "CN"),
            rule(Ends, "-in", "IN"),
            rule(Ends, "-sg", "SG"),
            rule(Ends, "-us", "US"),
            rule(Ends, "-ru", "RU"),
            rule(Ends, "-eu", "europe"),
            rule(Ends, "-fr", "europe"),
            rule(Ends, "euex", "europe"),
            rule(Ends, "-gl", "international"),
            rule(Ends, "-row", "international"),
            rule(Ends, "intl", "international"),
        ],
    },
    Vendor {
        suffixes: &["vivo.com", "vivo.com.cn", "vivoglobal.com"],
        rules: &[
            rule(Begins, "in-", "IN"),
            rule(Begins, "ru-", "RU"),
            rule(Begins, "cname-sin01-", "SG"),
            rule(Begins, "de-gdpr-", "europe"),
            rule(Begins, "eu-", "europe"),
            rule(Begins, "asia-", "asia"),
        ],
    },
    Vendor {
        suffixes: &["samsung.com", "samsungcloud.com", "samsungdm.com", "samsungosp.com", "samsungapps.com", "samsungads.com"],
        rules: &[
            rule(Begins, "us-", "US"),
            rule(Begins, "china-", "CN"),
            rule(Begins, "eu-", "europe"),
            rule(Ends, "-kr", "KR"),
            rule(Ends, "-eu", "europe"),
            rule(Ends, "-ap2", "asia"),
        ],
    },
];

/// A cloud provider's names and its regions. The same code is another place with another provider.
struct Cloud {
    suffixes: &'static [&'static str],
    regions: &'static [(&'static str, &'static str)],
}

/// As the providers document them; of each those that phones were seen with, and their neighbours.
#[rustfmt::skip] // tables
const CLOUDS: &[Cloud] = &[
    Cloud { suffixes: &["amazonaws.com", "amazonaws.com.cn"], regions: &[
        ("us-east-1", "US"), ("us-east-2", "US"), ("us-west-1", "US"), ("us-west-2", "US"), ("us-gov-east-1", "US"), ("us-gov-west-1", "US"),
        ("ca-central-1", "CA"), ("ca-west-1", "CA"), ("mx-central-1", "MX"), ("sa-east-1", "BR"),
        ("eu-central-1", "DE"), ("eu-central-2", "CH"), ("eu-west-1", "IE"), ("eu-west-2", "GB"), ("eu-west-3", "FR"),
        ("eu-south-1", "IT"), ("eu-south-2", "ES"), ("eu-north-1", "SE"),
        ("ap-southeast-1", "SG"), ("ap-southeast-2", "AU"), ("ap-southeast-3", "ID"), ("ap-southeast-4", "AU"), ("ap-southeast-5", "MY"),
        ("ap-southeast-7", "TH"), ("ap-south-1", "IN"), ("ap-south-2", "IN"), ("ap-east-1", "HK"), ("ap-northeast-1", "JP"),
        ("ap-northeast-2", "KR"), ("ap-northeast-3", "JP"), ("me-south-1", "BH"), ("me-central-1", "AE"), ("il-central-1", "IL"),
        ("af-south-1", "ZA"), ("cn-north-1", "CN"), ("cn-northwest-1", "CN"),
    ] },
    Cloud { suffixes: &["aliyuncs.com", "alibabacloud.com"], regions: &[
        ("cn-hongkong", "HK"), ("ap-southeast-1", "SG"), ("ap-southeast-3", "MY"), ("ap-southeast-5", "ID"), ("ap-southeast-6", "PH"),
        ("ap-southeast-7", "TH"), ("ap-northeast-1", "JP"), ("ap-northeast-2", "KR"), ("ap-south-1", "IN"), ("eu-central-1", "DE"),
        ("eu-west-1", "GB"), ("us-west-1", "US"), ("us-east-1", "US"), ("me-east-1", "AE"), ("me-central-1", "SA"),
        ("cn-hangzhou", "CN"), ("cn-shanghai", "CN"), ("cn-beijing", "CN"), ("cn-shenzhen", "CN"), ("cn-qingdao", "CN"),
        ("cn-zhangjiakou", "CN"), ("cn-huhehaote", "CN"), ("cn-wulanchabu", "CN"), ("cn-guangzhou", "CN"), ("cn-chengdu", "CN"),
    ] },
    Cloud { suffixes: &["myhuaweicloud.com", "myhuaweicloud.eu"], regions: &[
        ("ap-southeast-1", "HK"), ("ap-southeast-2", "TH"), ("ap-southeast-3", "SG"), ("ap-southeast-4", "ID"), ("eu-west-0", "FR"),
        ("eu-west-101", "IE"), ("ru-northwest-2", "RU"), ("ru-moscow-1", "RU"), ("tr-west-1", "TR"), ("me-east-1", "SA"), ("af-south-1", "ZA"),
        ("af-north-1", "EG"), ("la-north-2", "MX"), ("na-mexico-1", "MX"), ("la-south-2", "CL"), ("sa-brazil-1", "BR"),
        ("cn-north-1", "CN"), ("cn-north-2", "CN"), ("cn-north-4", "CN"), ("cn-north-9", "CN"), ("cn-east-2", "CN"), ("cn-east-3", "CN"),
        ("cn-south-1", "CN"), ("cn-southwest-2", "CN"),
    ] },
    Cloud { suffixes: &["myqcloud.com"], regions: &[
        ("ap-singapore", "SG"), ("ap-hongkong", "HK"), ("ap-mumbai", "IN"), ("ap-tokyo", "JP"), ("ap-seoul", "KR"), ("ap-bangkok", "TH"),
        ("ap-jakarta", "ID"), ("eu-frankfurt", "DE"), ("na-siliconvalley", "US"), ("na-ashburn", "US"), ("sa-saopaulo", "BR"),
        ("ap-guangzhou", "CN"), ("ap-shanghai", "CN"), ("ap-beijing", "CN"), ("ap-nanjing", "CN"), ("ap-chengdu", "CN"), ("ap-chongqing", "CN"),
    ] },
    Cloud { suffixes: &["cloudapp.azure.com", "azurecontainer.io"], regions: &[
        ("westeurope", "NL"), ("northeurope", "IE"), ("germanywestcentral", "DE"), ("francecentral", "FR"), ("swedencentral", "SE"),
        ("polandcentral", "PL"), ("uksouth", "GB"), ("ukwest", "GB"), ("switzerlandnorth", "CH"), ("norwayeast", "NO"), ("italynorth", "IT"),
        ("spaincentral", "ES"), ("southeastasia", "SG"), ("eastasia", "HK"), ("japaneast", "JP"), ("japanwest", "JP"), ("koreacentral", "KR"),
        ("centralindia", "IN"), ("southindia", "IN"), ("westindia", "IN"), ("australiaeast", "AU"), ("brazilsouth", "BR"),
        ("canadacentral", "CA"), ("eastus", "US"), ("eastus2", "US"), ("westus", "US"), ("westus2", "US"), ("westus3", "US"),
        ("centralus", "US"), ("northcentralus", "US"), ("southcentralus", "US"), ("uaenorth", "AE"), ("southafricanorth", "ZA"),
    ] },
    Cloud { suffixes: &["cloudfunctions.net", "run.app", "pkg.dev", "rep.googleapis.com"], regions: &[
        ("europe-west1", "BE"), ("europe-west2", "GB"), ("europe-west3", "DE"), ("europe-west4", "NL"), ("europe-west6", "CH"),
        ("europe-west8", "IT"), ("europe-west9", "FR"), ("europe-west10", "DE"), ("europe-west12", "IT"), ("europe-north1", "FI"),
        ("europe-central2", "PL"), ("europe-southwest1", "ES"), ("asia-southeast1", "SG"), ("asia-southeast2", "ID"), ("asia-east1", "TW"),
        ("asia-east2", "HK"), ("asia-northeast1", "JP"), ("asia-northeast2", "JP"), ("asia-northeast3", "KR"), ("asia-south1", "IN"),
        ("asia-south2", "IN"), ("us-central1", "US"), ("us-east1", "US"), ("us-east4", "US"), ("us-west1", "US"), ("us-west2", "US"),
        ("australia-southeast1", "AU"), ("southamerica-east1", "BR"), ("northamerica-northeast1", "CA"), ("me-west1", "IL"),
    ] },
];

/// The European Economic Area, Switzerland and the United Kingdom: where a vendor's "Europe" may be.
const EUROPE: [&str; 32] = [
    "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT", "LU",
    "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str) -> String {
        match region_of_name(name) {
            None => "-".to_owned(),
            Some(region) => {
                let area = match region.area {
                    Area::Country(country) => country.as_str().to_owned(),
                    wide => format!("{wide:?}"),
                };
                format!("{area} {}{}", region.token, if region.kind == Whose::Cloud { " (cloud)" } else { "" })
            }
        }
    }

    #[test]
    fn names_of_vendors_and_clouds() {
        for (name, region) in [
            ("sa.api.intl.miui.com", "International intl"),
            ("sdkconfig.ad.intl.xiaomi.com", "International intl"),
            ("sgpapi.ad.intl.xiaomi.com", "SG sgp"),
            ("sgpac.account.xiaomi.com", "SG sgp"),
            ("in-miuilog.sms.intl.xiaomi.com", "IN in-"),
            ("fr.resolver.msg.global.xiaomi.net", "DE fr"),
            ("us.micardapi.micloud.xiaomi.net", "US us"),
            ("globalapi.ad.xiaomi.com", "-"),
            ("metrics-dre.dt.dbankcloud.cn", "Europe -dre"),
            ("configserverdre.platform.hicloud.com", "Europe configserverdre"),
            ("datacollector-dra.dt.hicloud.com", "South -dra"),
            ("datacollector-drru.dt.dbankcloud.ru", "RU -drru"),
            ("token-drcn.push.dbankcloud.com", "CN -drcn"),
            ("grs.dbankcloud.com", "-"),
            ("nsp-logservice-hiview-p05-dra.obs.ap-southeast-3.myhuaweicloud.com", "SG ap-southeast-3 (cloud)"),
            ("obus-dc-eu.heytapmobile.com", "Europe -eu"),
            ("rus-service-eu.allawnos.com", "Europe -eu"),
            ("mdp-appconf-euex.heytapdl.com", "Europe euex"),
            ("dcintl.push.heytapmobile.com", "International intl"),
            ("eu-timesync.vivoglobal.com", "Europe eu-"),
            ("chat-global-0a1b.elb.eu-central-1.amazonaws.com", "DE eu-central-1 (cloud)"),
            ("ws75-lb-622010417.eu-central-1.elb.amazonaws.com", "DE eu-central-1 (cloud)"),
            ("bucket.s3-ap-south-1.amazonaws.com", "IN ap-south-1 (cloud)"),
            ("bucket.oss-eu-west-1.aliyuncs.com", "GB eu-west-1 (cloud)"),
            ("b.cos.ap-singapore.myqcloud.com", "SG ap-singapore (cloud)"),
            ("vm.westeurope.cloudapp.azure.com", "NL westeurope (cloud)"),
            ("europe-west3-lab.cloudfunctions.net", "DE europe-west3 (cloud)"),
        ] {
            assert_eq!(told(name), region, "{name}");
        }
    }

    #[test]
    fn a_token_elsewhere_is_a_syllable() {
        for name in [
            "intl.example.com",
            "metrics-dre.example.org",
            "eu-central-1.example.net",
            "notxiaomi.com",
            "eu.notxiaomi.com",
            "xiaomi.com",
            "amazonaws.com",
            "s3.amazonaws.com",
            "eu-central-10.amazonaws.com",
            "neu-central-1.amazonaws.com",
            "e1234.a.akamaiedge.net",
            "",
            ".",
        ] {
            assert_eq!(told(name), "-", "{name}");
        }
    }

    #[test]
    fn the_same_code_is_another_place_with_another_provider() {
        let place = |name: &str| region_of_name(name).unwrap().area.words().to_owned();
        assert_eq!(place("a.ap-southeast-1.elb.amazonaws.com"), "Singapore");
        assert_eq!(place("a.obs.ap-southeast-1.myhuaweicloud.com"), "Hong Kong");
        assert_eq!(place("a.eu-west-1.elb.amazonaws.com"), "Ireland");
        assert_eq!(place("oss-eu-west-1.aliyuncs.com"), "United Kingdom");
    }

    #[test]
    fn europe_holds_germany_and_the_world_holds_nobody_in_particular() {
        let germany = Country::from_code("DE").unwrap();
        assert_eq!(Area::Europe.holds(germany), Some(true));
        assert_eq!(Area::Europe.holds(Country::from_code("SG").unwrap()), Some(false));
        assert_eq!(Area::International.holds(germany), None);
        assert_eq!(region_of_name("awsde0.xiaomi.net").unwrap().area.holds(germany), Some(true));
    }

    #[test]
    fn every_country_in_the_tables_is_one() {
        let vendors = VENDORS.iter().flat_map(|vendor| vendor.rules).map(|rule| rule.area).filter(|area| area.len() == 2);
        let clouds = CLOUDS.iter().flat_map(|cloud| cloud.regions).map(|(_, code)| *code);
        for code in vendors.chain(clouds).chain(EUROPE) {
            let country = Country::from_code(code).unwrap();
            assert_ne!(country.name(), code, "a code without a name");
        }
    }
}
