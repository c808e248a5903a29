//! Secrets in every form that files, objects, logs and messages have, and texts that have none.

use serde_json::{Value, json};

use super::{redact_text, redact_value};

/// Each holds one `CANARY…`, in a text of its own.
const FORMS: &[&str] = &[
    // JSON
    r#"{"password": "CANARY"}"#,
    r#"{"password" : "CANARY"}"#,
    "{\"password\":\n  \"CANARY\"}",
    r#"{"passwords": ["CANARY"]}"#,
    r#"{"pass": "CANARY"}"#,
    r#"{"pwd": "CANARY", "a": 1}"#,
    r#"{"passphrase": "CANARY"}"#,
    r#"{"auth": "CANARY"}"#,
    r#"{"auths": {"registry.test": {"auth": "CANARY"}}}"#,
    r#"{"authToken": "CANARY"}"#,
    r#"{"access_token": "CANARY"}"#,
    r#"{"accessKey": "CANARY"}"#,
    r#"{"secretKey": "CANARY"}"#,
    r#"{"secret_access_key": "CANARY"}"#,
    r#"{"private-key": "CANARY"}"#,
    r#"{"privateKeyPem": "CANARY"}"#,
    r#"{"credential": {"user": "CANARY"}}"#,
    r#"{"credentials": [{"v": ["CANARY"]}]}"#,
    r#"{"bearer": "CANARY"}"#,
    r#"{"etcd_key": "CANARY"}"#,
    r#"{"PSK": "CANARY"}"#,
    r#"{"Set-Cookie": "CANARY"}"#,
    r#"{"connectionString": "Server=x;Password=CANARY;"}"#,
    r#"{"text": "Server=x;Password=CANARY;Port=1"}"#,
    r#"{"dsn": "postgres://u:CANARY@h/db"}"#,
    r#"{"sas": "CANARY"}"#,
    r#"{"url": "https://h/x?sig=CANARY&a=b"}"#,
    r#"{"aws": "AKIACANARYAAAAAAAAAA"}"#,
    r#"{"gh": "ghp_CANARY"}"#,
    r#"{"kind":"Secret","data":{"x":"CANARY"}}"#,
    r#"{"metadata":{"annotations":{"last":"{\"kind\":\"Secret\",\"stringData\":{\"x\":\"CANARY\"}}"}}}"#,
    r#"{"esc": "{\"password\":\"CANARY\"}"}"#,
    r#"{"esc": "{\"esc\":\"{\\\"password\\\":\\\"CANARY\\\"}\"}"}"#,
    r#"{"conf": "users:\n- user:\n    client-key-data: |\n      CANARY\n"}"#,
    r#"{"env": [{"name": "API_TOKEN", "value": "CANARY"}]}"#,
    r#"{"headers": [{"name": "Authorization", "value": "CANARY"}]}"#,
    r#"{"args": ["join", "--token", "CANARY", "h:6443"]}"#,
    r#"{"args": ["--token=CANARY"]}"#,
    r#"{"args": ["sh", "-c", "curl -H 'X-Auth-Token: CANARY' h"]}"#,
    r#"{"message": "said token: CANARY"}"#,
    r#"{"token": "CANARY", "token": "x"}"#,
    r#"{"a": "token: CANARY", "a": "x"}"#,
    r#"{"password": 1234CANARY}"#,
    r#"{"key": "-----BEGIN RSA PRIVATE KEY-----\nCANARY\n-----END RSA PRIVATE KEY-----", "a": "b"}"#,
    // YAML
    "kind: Config\nuser: {token: CANARY}\n",
    "user:\n  client-key-data: |\n    CANARY\n",
    "user:\n  client-certificate-data: >-\n    CANARY\n",
    "user:\n  password: >\n    a\n\n    CANARY\nb: c\n",
    "cluster: {certificate-authority-data: \"CANARY\"}\na: b\n",
    "env:\n- name: API_TOKEN\n  value: CANARY\n",
    "user-data: |\n  CANARY\na: b\n",
    "webhookSecretKey: CANARY\na: b\n",
    "a: b # token: CANARY\nc: d\n",
    "---\na: b\n---\nspec:\n  psk: CANARY\n",
    "apiKey:\n- CANARY\na: b\n",
    // files that no parser takes
    "password: a\npassword: ab'CANARY\n",
    "password: a\npassword: 'it''s CANARY'\n",
    "token = \"a\" \"CANARY\"\n",
    "password: a,CANARY",
    "password: a;CANARY",
    "password: a}CANARY",
    "password: \"a\\\\\" CANARY",
    "PASSWORD=a CANARY",
    "export TOKEN=CANARY",
    "my.token: CANARY",
    "token/x: CANARY",
    "TOKEN : CANARY",
    "- name: API_TOKEN\n  value: CANARY\n}",
    "}\nclient-key-data: |\n  CANARY\n  CANARY\n",
    "}\npassword:\n  CANARY\n",
    "}\ncredentials:\n- CANARY\n",
    "[{name: API_TOKEN, value: CANARY",
    "{\"a\": 1}\n{\"password\": \"CANARY\"}\n",
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nCANARY\n-----END ENCRYPTED PRIVATE KEY-----\n",
    "  -----BEGIN EC PRIVATE KEY-----\n  CANARY\n",
    "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nCANARY\n---- END SSH2 ENCRYPTED PRIVATE KEY ----\n",
    "Private-Lines: 1\nCANARY\n",
    "AGE-SECRET-KEY-1CANARY",
    // logs and messages
    "Authorization: Basic CANARY",
    "said Bearer CANARY, and left",
    "curl -u user:CANARY https://h",
    "kubeadm join --token CANARY h:6443",
    "join --certificate-key CANARY",
    "ran --password=CANARY --v=2",
    "ran --password 'a CANARY'",
    "level=info msg=\"got token: CANARY\" pod=x",
    "error: {\"password\":\"CANARY\"} from server",
    r#"applied "{\"password\":\"CANARY\"}""#,
    r#"applied {\\"password\\":\\"CANARY\\"}"#,
    "bare eyJhbGciOi.CANARY.sig",
    "paren(eyJhbGciOi.CANARY.sig)",
    "[eyJhbGciOi.CANARY.sig]",
    "eq=eyJhbGciOi.CANARY.sig",
    "https://u:CANARY@h/",
    "(https://u:CANARY@h)",
    "https://CANARY:x@h",
    "https://h/?token=CANARY&a=b",
    "GET https://h/x?a=b&token=CANARY HTTP/1.1",
    "ssh://u:p/CANARY@h",
    "u:CANARY@h:22",
    // other people's formats
    r#"{"clientSecret": "CANARY"}"#,
    r#"{"refresh_token": "CANARY"}"#,
    r#"{"id-token": "CANARY"}"#,
    r#"{"sessionToken": "CANARY"}"#,
    r#"{"x-api-key": "CANARY"}"#,
    r#"{"rootPw": "CANARY"}"#,
    r#"{"encryptionKey": "CANARY"}"#,
    r#"{"tls.key": "CANARY"}"#,
    r#"{"ssh-privatekey": "CANARY"}"#,
    r#"{"jdbcUrl": "jdbc:mysql://h/db?user=u&password=CANARY"}"#,
    r#"{"url": "redis://:CANARY@h:6379/0"}"#,
    r#"{"storage": "AccountName=a;AccountKey=CANARY==;EndpointSuffix=b"}"#,
    r#"{"hook": "https://hooks.slack.com/services/T0/B0/CANARY"}"#,
    r#"{"argv": "[\"--password\", \"CANARY\"]"}"#,
    r#"{"a": [{"b": [{"header": "Cookie", "value": "CANARY"}]}]}"#,
    r#"{"script": "set -e\nexport MYSQL_PWD=CANARY\nmysql"}"#,
    "args:\n- --token\n- CANARY\na: b\n",
    "stringData:\n  a: CANARY\nkind: Secret\n",
    "config.yaml: |\n  auth:\n    bearerToken: CANARY\na: b\n",
    "{'password': 'CANARY', 'a': None}",
    "&{User:u Password:CANARY Host:h}",
    "'password' => 'CANARY',",
    "<password>CANARY</password>",
    "<ns:apiKey type=\"x\">CANARY</ns:apiKey>",
    "<add key=\"password\" value=\"CANARY\"/>",
    "[db]\npassword = CANARY\n",
    "db.password=CANARY",
    "//registry.test/:_authToken=CANARY",
    "set PASSWORD=CANARY",
    "machine h login u password CANARY",
    "root:$6$salt$CANARY:19000:0:99999:7:::",
    "u:$2y$05$CANARY",
    "u:$apr1$salt$CANARY",
    "the password 'CANARY' is wrong",
    "next=%3Ftoken%3DCANARY",
    "grant_type=x&client_secret=CANARY",
    "sshpass -p CANARY ssh h",
    "docker login -u u -p CANARY registry.test",
    "mysql -u root -pCANARY db",
    "openssl rsa -passin pass:CANARY",
    "wget --http-password=CANARY h",
    "curl -H 'PRIVATE-TOKEN: CANARY' h",
    "Cookie: session=CANARY; a=b",
    "Proxy-Authorization: Digest CANARY",
    "sk_live_CANARY",
    "dckr_pat_CANARY",
    "glrt-CANARY",
    "xapp-1-CANARY",
    "SG.CANARYCANARY.CANARY",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nCANARY\n-----END PGP PRIVATE KEY BLOCK-----\n",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nCANARY\n-----END OPENSSH PRIVATE KEY-----\n",
];

/// Texts that stay as they are.
const HARMLESS: &[&str] = &[
    "secret \"web\" not found",
    "the bearer token is missing",
    "secretName: web\ntokenExpirationSeconds: 3607\nautomountServiceAccountToken: true\n",
    "volumes:\n- name: v\n  secret:\n    secretName: web\n    defaultMode: 420\n",
    "imagePullSecrets:\n  - name: registry\n",
    "env:\n- name: A\n  valueFrom:\n    secretKeyRef:\n      name: web\n      key: a\n",
    "{\"serviceAccountToken\":{\"expirationSeconds\":3607,\"path\":\"token\"}}",
    "{\"topologyKey\":\"kubernetes.io/hostname\",\"key\":\"a\",\"value\":\"b\"}",
    "image: docker.io/library/web:1.2@sha256:0123456789abcdef",
    "pulled docker-pullable://registry.test:5000/a/web@sha256:0123456789abcdef",
    "2026-01-01T00:00:00Z [verbose] Add: default:web:net1 10.0.0.2/24\nnext: line\n",
    " cookie=0x0, duration=1.2s, table=0, n_packets=3, actions=NORMAL",
    "_uuid : 0b6c1f2e-1111-2222-3333-444455556666\nname : \"br-blue\"\nfail_mode : secure\n",
    "# a comment\na:   b\n",
    "{ \"type\" : \"ovs\",\n\"bridge\":\"blue\" }\n",
    "node.kubernetes.io/not-ready: NoExecute",
    "Basic networking is up; the token flag --token is required",
    "<name>web</name> costs $1 and $5, key%3Da, mysql -p, login -p",
    "the password is not set; a password, or none",
    "mkdir -p /a/b && docker pull a",
];

#[test]
fn no_secret_is_left_in_any_form() {
    assert!(FORMS.len() >= 150, "{}", FORMS.len());
    let left: Vec<String> = FORMS
        .iter()
        .map(|form| (form, redact_text(form, &[])))
        .filter(|(form, redacted)| !form.contains("CANARY") || redacted.contains("CANARY"))
        .map(|(form, redacted)| format!("{form}\n  => {redacted}"))
        .collect();
    assert!(left.is_empty(), "{}", left.join("\n"));
}

#[test]
fn json_stays_json_and_what_is_redacted_stays_so() {
    for form in FORMS {
        let redacted = redact_text(form, &[]);
        if serde_json::from_str::<Value>(form).is_ok() {
            assert!(serde_json::from_str::<Value>(&redacted).is_ok(), "{form}\n  => {redacted}");
        }
        assert!(!redact_text(&redacted, &[]).contains("CANARY"), "{redacted}");
    }
}

#[test]
fn text_without_secrets_is_not_changed() {
    for text in HARMLESS {
        assert_eq!(redact_text(text, &[]), *text);
    }
}

#[test]
fn a_document_in_a_string_is_a_string_again() {
    let mut value = json!({"last": "{\"kept\":1,\"token\":\"CANARY\"}", "message": "it said token: x"});
    redact_value(&mut value);
    assert_eq!(
        value,
        json!({"last": "{\"kept\":1,\"token\":\"(hidden)\"}", "message": "it said token: (hidden)"})
    );
    let text = redact_text("{\"a\":\"x \\\"y\\\" canary\"}", &["canary", "x \"y\""]);
    assert_eq!(text, "{\"a\":\"(hidden) (hidden)\"}");
}

#[test]
fn documents_without_end_are_no_danger() {
    let deep = "[".repeat(100_000);
    assert_eq!(redact_text(&deep, &[]), deep);
    let nested = (0..12).fold("token: CANARY\nx: y\n".to_owned(), |text, _| {
        format!("a: b\nc: |\n  {}\n", text.trim_end().replace('\n', "\n  "))
    });
    assert!(!redact_text(&nested, &[]).contains("CANARY"));
}
