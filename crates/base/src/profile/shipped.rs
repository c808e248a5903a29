//! The profiles that come with kvnet.

/// A profile inside of the program.
#[derive(Debug)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// One line about what it is for.
    pub description: &'static str,
    /// Its YAML, with comments for those who want to write their own.
    pub text: &'static str,
}

/// All shipped profiles; the first one is the default.
pub fn shipped() -> &'static [Shipped] {
    SHIPPED
}

/// What messages call the file of a shipped profile.
pub(super) fn file_of(name: &str) -> String {
    format!("{name} (shipped)")
}

/// Whether this is what messages call a shipped profile.
pub(super) fn is_shipped(file: &str) -> bool {
    shipped().iter().any(|known| file_of(known.name) == file)
}

static SHIPPED: &[Shipped] = &[
    Shipped {
        name: "default",
        description: "flannel, Multus, Open vSwitch and KubeVirt of 2026, and a VM with two NICs",
        text: include_str!("../../../../profiles/default.yaml"),
    },
    Shipped {
        name: "walkthrough-2018",
        description: "the KubeVirt walkthrough of September 2018 with the software of that day",
        text: include_str!("../../../../profiles/walkthrough-2018.yaml"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::load;

    #[test]
    fn every_shipped_profile_is_valid_and_says_what_it_is() {
        for known in shipped() {
            let loaded = load(known.name, &[]).unwrap_or_else(|error| panic!("{error} {:?}", error.hints()));
            assert_eq!(loaded.profile.name, known.name);
            assert_eq!(loaded.profile.description, known.description);
            assert_eq!(loaded.origin, format!("{} (shipped)", known.name));
        }
    }
}
