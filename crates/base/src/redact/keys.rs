//! Names of fields that hold secrets.

/// Parts that make a name telling, wherever they stand in it; compared without case and punctuation.
const PARTS: &str = "\
    passw passphrase secret token credential privatekey apikey accesskey keydata connectionstring \
    authorization userdata networkdata clientcertificatedata certificateauthoritydata presharedkey \
    sharedaccess";
const ENDS: &str = "\
    pwd psk auth bearer cookie cookies signature jwt dsn dbpass userpass rootpass rootpw userpw adminpw \
    kennwort privkey";
const WHOLE: [&str; 6] = ["pass", "sig", "sas", "pw", "otp", "creds"];
/// Prefixes that make a `key` secret, because `key` alone does not: a `topologyKey` is no secret.
const KEYS_OF: &str = "\
    account aes ca certificate client encryption etcd hmac host license master server session shared signing \
    ssh storage tls wireguard";
/// Words about a secret that are none themselves.
const ABOUT: &str = "\
    name names namespace ref refs file path seconds ttl type class kind mode policy count size length limit \
    timeout expiration expiry enabled optional review reviews request requests";
/// Lists of references, and a switch.
const HARMLESS: [&str; 3] = ["imagepullsecrets", "secrets", "automountserviceaccounttoken"];

/// Whether this name's value is a secret; of several words the last one counts.
pub(super) fn is_secret(name: &str) -> bool {
    let word = last_word(name);
    let key: String = word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    if HARMLESS.contains(&key.as_str()) || ABOUT.split(' ').any(|end| key.ends_with(end)) {
        return false;
    }
    let key_of = key.strip_suffix("key").or_else(|| key.strip_suffix("keys"));
    WHOLE.contains(&key.as_str())
        || PARTS.split(' ').any(|part| key.contains(part))
        || ENDS.split(' ').any(|end| key.ends_with(end))
        || key_of.is_some_and(|owner| KEYS_OF.split(' ').any(|known| owner.ends_with(known)))
}

/// The last word of a text that ends in a name, without quotes.
pub(super) fn last_word(text: &str) -> &str {
    let text = text.trim_end_matches(['"', '\'', '`', '\\', ' ', '\t']);
    text.rsplit(|c: char| !c.is_alphanumeric() && !"-_./".contains(c)).next().unwrap_or_default()
}

/// A value that reveals nothing, whatever its name.
pub(super) fn is_void(value: &str) -> bool {
    let value = value.trim_matches([' ', '\t', '"', '\'', ',']).to_lowercase();
    ["", "true", "false", "null", "~", "none", "nil"].contains(&value.as_str())
}
