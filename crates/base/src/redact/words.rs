//! Secrets that are known by their own form, or by the word before them.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::HIDDEN;
use super::keys::is_secret;

/// A pattern; one that does not compile finds nothing, and the tests below miss it.
type Pattern = LazyLock<Option<Regex>>;

static PRIVATE_KEY: Pattern = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?s)-{4,5} ?BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-{4,5} ?END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-{4,5}|\z)",
        r"|Private-Lines: .*?(?:\nPrivate-MAC|\z)",
    ))
    .ok()
});
/// Forms that only secrets have: signed tokens, keys of well-known services, a PEM block in base64.
static FORMS: Pattern = LazyLock::new(|| {
    Regex::new(concat!(
        r"eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)+|eyJ[A-Za-z0-9_+/=-]{16,}|LS0tLS1CRUdJTi[A-Za-z0-9+/=]+",
        r"|A[KS]IA[0-9A-Z]{12,}|gh[pousr]_[A-Za-z0-9]+|github_pat_[A-Za-z0-9_]+|glpat-[A-Za-z0-9_-]+",
        r"|xox[abeprs]-[A-Za-z0-9-]+|xapp-[A-Za-z0-9-]+|AGE-SECRET-KEY-1[A-Z0-9]+|gl(?:rt|dt|ptt|cbt|ft|soat)-[A-Za-z0-9_-]+",
        r"|[sr]k_(?:live|test)_[A-Za-z0-9]+|sk-[A-Za-z0-9_-]{20,}|AIza[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]+",
        r"|dckr_pat_[A-Za-z0-9_-]+|npm_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_-]{20,}|hv[sb]\.[A-Za-z0-9_-]{20,}",
        r"|SG\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+|hooks\.slack\.com/services/[A-Za-z0-9/]+",
        // Hashes of passwords, as /etc/shadow and htpasswd have them.
        r"|\$(?:1|2[abxy]|5|6|7|y|gy|apr1|argon2[id]{1,2}|scrypt)\$[A-Za-z0-9./$=,+-]+",
    ))
    .ok()
});
static BOOTSTRAP_TOKEN: Pattern =
    LazyLock::new(|| Regex::new(r"(?-u:\b)([a-z0-9]{6})\.([a-z0-9]{16})(?-u:\b)").ok());
static SCHEME: Pattern =
    LazyLock::new(|| Regex::new(r#"(?-u:\b)([Bb]earer|BEARER|Basic)([ \t]+)([^ \t"'`,;)\]}<>\\]+)"#).ok());
static FLAG: Pattern = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(^|[ \t"'`(\[])(--?[A-Za-z][A-Za-z0-9_.-]*)(["'][ \t]*,[ \t]*|[ \t]+)"#,
        r#"("[^"]*"|'[^']*'|[^ \t"'`,)\]]+)"#,
    ))
    .ok()
});
static LOGIN: Pattern = LazyLock::new(|| {
    Regex::new(r#"((?:^|[ \t])(?:-u|--user|--proxy-user)[ \t=]*["']?[^ \t:"']+:)([^ \t"']+)"#).ok()
});
static ADDRESS: Pattern =
    LazyLock::new(|| Regex::new(r#"([A-Za-z][A-Za-z0-9+.-]*://)([^ \t"'`<>@]*)@"#).ok());
static USER_AT_HOST: Pattern =
    LazyLock::new(|| Regex::new(r#"(^|[ \t"'`(<=])([A-Za-z0-9_.-]+):([^ \t:@/"'`]+)@([A-Za-z0-9\[])"#).ok());
/// `<password>x</password>`, in any file of that kind.
static ELEMENT: Pattern =
    LazyLock::new(|| Regex::new(r"<([A-Za-z][A-Za-z0-9_.:-]*)([^<>]*)>([^<>]+)</").ok());
/// A query within a query.
static ENCODED: Pattern =
    LazyLock::new(|| Regex::new(r#"([A-Za-z][A-Za-z0-9_.-]*)(%3[Dd])([^%& \t"'`<>]+)"#).ok());
/// Without a sign in between: `machine h login u password x`, and `wrong password "x"`.
static SPOKEN: Pattern = LazyLock::new(|| {
    Regex::new(r#"(?i)((?-u:\b)login[ \t]+[^ \t]+[ \t]+password[ \t]+|(?-u:\b)passw(?:or)?d[ \t]+["'`])([^ \t"'`]+)"#)
        .ok()
});
/// The short option of programs that log in somewhere.
static SHORT: Pattern = LazyLock::new(|| {
    Regex::new(r#"((?-u:\b)(?:sshpass|login|mysql|mysqldump)(?-u:\b)(?:[ \t]+[^ \t|;&]+)*?[ \t]+-p[ \t]*)([^ \t|;&"',][^ \t|;&"']*)"#)
        .ok()
});
static QUERY_KEY: Pattern = LazyLock::new(|| Regex::new(r#"([?&](?:key|code)=)([^& \t"'`#<>)]+)"#).ok());

/// What follows `Bearer` or `--token` in a sentence about them.
const PROSE: &str = "\
    token tokens auth authentication authorization credential credentials scheme is was are and or in of for \
    from has not must flag flags option realm to with";

/// A text without its private keys, one that lacks its end too.
pub(super) fn without_private_keys(text: &str) -> Cow<'_, str> {
    each(&PRIVATE_KEY, text, |_| HIDDEN.to_owned())
}

/// A line without what is known by its form.
pub(super) fn redact(line: &str) -> String {
    let line = each(&ADDRESS, line, address);
    let line = each(&USER_AT_HOST, &line, |found| {
        // The digest of an image is no host.
        let digest = found[0].ends_with("@s");
        if digest { found[0].to_owned() } else { format!("{}{HIDDEN}@{}", &found[1], &found[4]) }
    });
    let line = each(&FORMS, &line, |_| HIDDEN.to_owned());
    let line = each(&BOOTSTRAP_TOKEN, &line, |found| {
        let mixed = |part: &str| part.contains(|c: char| c.is_ascii_digit());
        let token = mixed(&found[2]) && !found[2].chars().all(|c| c.is_ascii_digit());
        if token { HIDDEN.to_owned() } else { found[0].to_owned() }
    });
    let line = each(&SCHEME, &line, |found| {
        let coded = |text: &str| text.len() > 5 && text.contains(|c: char| c.is_ascii_digit() || c == '=');
        let prose = is_prose(&found[3]) || (&found[1] == "Basic" && !coded(&found[3]));
        if prose { found[0].to_owned() } else { format!("{}{}{HIDDEN}", &found[1], &found[2]) }
    });
    let line = each(&LOGIN, &line, |found| format!("{}{HIDDEN}", &found[1]));
    let line = each(&QUERY_KEY, &line, |found| format!("{}{HIDDEN}", &found[1]));
    let line = each(&ELEMENT, &line, |found| {
        let (name, more, text) = (&found[1], &found[2], &found[3]);
        let hides = is_secret(name) && !text.trim().is_empty();
        format!("<{name}{more}>{}</", if hides { HIDDEN } else { text })
    });
    let line = each(&ENCODED, &line, |found| {
        let value = if is_secret(&found[1]) { HIDDEN } else { &found[3] };
        format!("{}{}{value}", &found[1], &found[2])
    });
    let line = each(&SPOKEN, &line, |found| format!("{}{HIDDEN}", &found[1]));
    let line = each(&SHORT, &line, |found| format!("{}{HIDDEN}", &found[1]));
    each(&FLAG, &line, flag).into_owned()
}

fn each<'t>(pattern: &Pattern, text: &'t str, change: impl Fn(&Captures<'_>) -> String) -> Cow<'t, str> {
    pattern.as_ref().map_or(Cow::Borrowed(text), |pattern| pattern.replace_all(text, change))
}

fn is_prose(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ':']).to_lowercase();
    PROSE.split(' ').any(|one| one == word) || word.starts_with("realm=")
}

fn flag(found: &Captures<'_>) -> String {
    let value = &found[4];
    if !is_secret(&found[2]) || value.starts_with('-') || is_prose(value) {
        return found[0].to_owned();
    }
    let quote =
        value.chars().next().filter(|c| ['"', '\''].contains(c)).map(String::from).unwrap_or_default();
    format!("{}{}{}{quote}{HIDDEN}{quote}", &found[1], &found[2], &found[3])
}

/// The part before `@` is a user when it is no path: an image's address has its digest there.
fn address(found: &Captures<'_>) -> String {
    let user = &found[2];
    let path = user.split_once('/').is_some_and(|(authority, _)| {
        let port = authority.split_once(':').map(|(_, port)| port);
        port.is_none_or(|port| port.chars().all(|c| c.is_ascii_digit()))
    });
    if path { found[0].to_owned() } else { format!("{}{HIDDEN}@", &found[1]) }
}
