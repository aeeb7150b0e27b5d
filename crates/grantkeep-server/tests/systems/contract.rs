//! What the servers answer, held against the contract that they serve.

use crate::curl::{Answer, curl};
use crate::started::{Started, USER};
use grantkeep::Wait as _;
use grantkeep_grants::{Authorize, GrantType};
use grantkeep_server::{SYSTEMS, System};
use serde_json::Value;

/// Whether a value is of the type that a schema names, if it names one.
fn is_of(schema: &Value, value: &Value) -> bool {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match &schema["type"] {
        Value::String(named) => named == kind,
        Value::Array(named) => named.iter().any(|named| named == kind),
        _ => schema["oneOf"].as_array().unwrap().iter().any(|one| is_of(one, value)),
    }
}

/// A server and what it says that it answers.
struct Contract<'a> {
    server: &'a Started,
    document: Value,
}

impl Contract<'_> {
    /// Checks that the contract has each member of an answer, and the answer each that it must.
    fn check(&self, method: &str, path: &str, answer: &Answer) {
        let at = format!("{method} {path}: {} {}", answer.status, answer.body);
        let told = &self.document["paths"][path][method]["responses"][answer.status.to_string()];
        let schema = &told["content"]["application/json"]["schema"];
        let (body, required) = (answer.json(), schema["required"].as_array());
        for (name, value) in body.as_object().unwrap() {
            let described = &schema["properties"][name];
            assert!(described.is_object(), "{name} is not described: {at}");
            assert!(is_of(described, value), "{name} is not {described}: {at}");
        }
        for name in required.into_iter().flatten().map(|name| name.as_str().unwrap()) {
            assert!(body.get(name).is_some(), "{name} is missing: {at}");
        }
    }

    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let answer = self.server.post(path, fields);
        assert!(answer.status < 300, "{path}: {} {}", answer.status, answer.body);
        self.check("post", path, &answer);
        answer.json()
    }
}

fn check(system: &System) {
    let server = Started::system(system.name);
    let document = curl(&[&server.at("/openapi.json")]).json();
    let contract = Contract { server: &server, document };
    let paths = system.paths();
    let metadata = "/.well-known/oauth-authorization-server";
    contract.check("get", metadata, &curl(&[&server.at(metadata)]));

    let token = if system.asks() {
        let code = server.grants.authorize(Authorize::new("app", USER.0)).wait().unwrap();
        let by_code = [("grant_type", "authorization_code"), ("code", code.expose())];
        let pair = contract.post(&paths.token, &by_code);
        assert!(pair["refresh_token"].is_string());
        contract.post(&paths.push, &[("response_type", "code")]);
        pair
    } else {
        contract.post(&paths.token, &[("grant_type", "client_credentials")])
    };
    let token = token["access_token"].as_str().unwrap();
    for (token, active) in [(token, true), ("none", false)] {
        let told = contract.post(&paths.introspect, &[("token", token)]);
        assert_eq!(told["active"], active);
        // RFC 7662 section 2.2.
        assert_eq!(told["exp"].is_u64() && told["client_id"] == "app", active, "{told}");
    }
    if system.has(&GrantType::DeviceCode) {
        let told = contract.post(&paths.device, &[]);
        assert!(told["interval"].is_u64() && told["expires_in"].is_u64(), "{told}");
    }
    for path in system.resources {
        contract.check("get", path, &server.api(path, token));
        contract.check("get", path, &server.api(path, "none"));
    }
    contract.check("post", &paths.token, &server.post(&paths.token, &[("grant_type", "other")]));
    contract.post(&paths.revoke, &[("token", token)]);
}

// Goal: the contract of each system names every member of what its endpoints answer, with its type,
// and what it says is always there is. Method: a request to each endpoint, and its answer against
// the document that the server itself serves.
#[test]
fn answers_have_the_members_of_the_contract() {
    for system in &SYSTEMS {
        check(system);
    }
}
