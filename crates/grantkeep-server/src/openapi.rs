//! The contract of a server: what its endpoints, and those for operators, take and answer, as
//! `OpenAPI` 3.1.

use crate::systems::System;
use grantkeep_axum::Paths;
use grantkeep_grants::GrantType;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItemBuilder,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{
    ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Required, Response,
    ResponseBuilder, ServerBuilder,
};

/// Where it is served.
pub(crate) const PATH: &str = "/openapi.json";

/// A member of an object: its name, what it is, and whether it must be there.
type Member = (&'static str, &'static str, bool);

const CREDENTIALS: [Member; 2] = [
    ("client_id", "unless the client authenticates by an Authorization field", false),
    ("client_secret", "of a confidential client", false),
];

const ERROR: [Member; 2] =
    [("error", "RFC 6749 section 5.2", true), ("error_description", "a sentence", false)];

/// The document of a system at this address.
pub(crate) fn document(system: &System, address: &str) -> OpenApi {
    let paths = system.paths();
    let mut built = PathsBuilder::new()
        .path(&paths.token, post(token(system)))
        .path(&paths.introspect, post(introspect()))
        .path(&paths.revoke, post(revoke()));
    if system.asks() {
        built =
            built.path(&paths.authorize, get(authorize())).path(&paths.push, post(push(&paths)));
    }
    if system.has(&GrantType::DeviceCode) {
        built = built.path(&paths.device, post(device()));
    }
    built = built.path("/.well-known/oauth-authorization-server", get(metadata(system)));
    for path in system.resources {
        built = built.path(*path, get(resource(system)));
    }
    let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title(system.title).version(env!("CARGO_PKG_VERSION")).build())
        .servers(Some([ServerBuilder::new().url(address).build()]))
        .paths(built.build())
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("client", basic)
                .security_scheme("token", bearer)
                .build(),
        ))
        .build()
}

fn post(operation: OperationBuilder) -> utoipa::openapi::PathItem {
    PathItemBuilder::new().operation(HttpMethod::Post, operation.build()).build()
}

fn get(operation: OperationBuilder) -> utoipa::openapi::PathItem {
    PathItemBuilder::new().operation(HttpMethod::Get, operation.build()).build()
}

fn value(kind: impl Into<SchemaType>, description: &str) -> Schema {
    let described = Some(description).filter(|text| !text.is_empty());
    ObjectBuilder::new().schema_type(kind).description(described).build().into()
}

fn text(description: &str) -> Schema {
    value(Type::String, description)
}

fn number(description: &str) -> Schema {
    value(Type::Integer, description)
}

fn texts() -> Schema {
    ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::String).build()).into()
}

fn object(members: &[Member]) -> Schema {
    let member = |(name, description, required): &Member| (*name, text(description), *required);
    told(members.iter().map(member))
}

/// An object of members of any type: the name and the schema of each, and whether it is always
/// there.
fn told(members: impl IntoIterator<Item = (&'static str, Schema, bool)>) -> Schema {
    let add = |object: ObjectBuilder, (name, schema, required): (&str, Schema, bool)| {
        let object = object.property(name, schema);
        if required { object.required(name) } else { object }
    };
    let object = ObjectBuilder::new().schema_type(Type::Object);
    members.into_iter().fold(object, add).build().into()
}

/// A body as a form or as JSON.
fn body(members: &[Member]) -> RequestBody {
    let content = |schema| ContentBuilder::new().schema(Some(schema)).build();
    RequestBodyBuilder::new()
        .content("application/x-www-form-urlencoded", content(object(members)))
        .content("application/json", content(object(members)))
        .required(Some(Required::True))
        .build()
}

fn with_credentials(members: &[Member]) -> Vec<Member> {
    members.iter().chain(&CREDENTIALS).copied().collect()
}

fn answer(description: &str, schema: Schema) -> Response {
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

fn refused(operation: OperationBuilder) -> OperationBuilder {
    operation
        .response("400", answer("what is asked for cannot be had", object(&ERROR)))
        .response("401", answer("the client did not authenticate", object(&ERROR)))
        .response("413", answer("the body is longer than 64 KiB", object(&ERROR)))
        .response("415", answer("the body is of another media type", object(&ERROR)))
        .response("429", answer("too many failed attempts from there", object(&ERROR)))
        .response("503", answer("the store cannot decide at the moment", object(&ERROR)))
}

fn by_client(operation: OperationBuilder) -> OperationBuilder {
    let client = SecurityRequirement::new::<_, [&str; 0], &str>("client", []);
    refused(operation.security(client).security(SecurityRequirement::default()))
}

fn token(system: &System) -> OperationBuilder {
    let mut members = vec![
        ("grant_type", "RFC 6749, or the device code of RFC 8628", true),
        ("scope", "the scopes asked for", false),
        ("resource", "RFC 8707", false),
    ];
    if system.has(&GrantType::AuthorizationCode) {
        members.extend([
            ("code", "RFC 6749 section 4.1.3", false),
            ("redirect_uri", "as in the authorization request", false),
            ("code_verifier", "RFC 7636 section 4.5", false),
            ("refresh_token", "RFC 6749 section 6", false),
        ]);
    }
    if system.has(&GrantType::Password) {
        members.extend([("username", "of a person", false), ("password", "of a person", false)]);
    }
    if system.has(&GrantType::DeviceCode) {
        members.push(("device_code", "RFC 8628 section 3.4", false));
    }
    let mut issued = vec![
        ("access_token", text("RFC 6749 section 5.1"), true),
        ("token_type", text(system.token_type.unwrap_or("Bearer")), true),
        ("expires_in", number("its lifetime, in seconds"), true),
        ("scope", text("the scopes granted"), false),
    ];
    if system.has(&GrantType::RefreshToken) {
        issued.push(("refresh_token", text("RFC 6749 section 1.5"), false));
    }
    let operation = OperationBuilder::new()
        .operation_id(Some("token"))
        .summary(Some("The token endpoint, RFC 6749 section 3.2"))
        .request_body(Some(body(&with_credentials(&members))));
    by_client(operation).response("200", answer("a token", told(issued)))
}

fn introspect() -> OperationBuilder {
    let operation = OperationBuilder::new()
        .operation_id(Some("introspect"))
        .summary(Some("Introspection, RFC 7662"))
        .request_body(Some(body(&with_credentials(&[
            ("token", "the token", true),
            ("token_type_hint", "not needed", false),
        ]))));
    let one = ObjectBuilder::new().schema_type(Type::String).build();
    let claims = told([
        ("active", value(Type::Boolean, "whether it is in force, and the client's to see"), true),
        ("scope", text("its scopes"), false),
        ("client_id", text("the client that it was issued to"), false),
        ("token_type", text("of an access token"), false),
        ("exp", number("when it expires, in seconds since 1970"), false),
        ("iat", number("when it was issued, in seconds since 1970"), false),
        ("sub", text("the person who granted it"), false),
        ("aud", OneOfBuilder::new().item(one).item(texts()).build().into(), false),
        ("cnf", value(Type::Object, "the key that it is bound to, RFC 7800"), false),
    ]);
    by_client(operation).response("200", answer("what it stands for", claims))
}

fn revoke() -> OperationBuilder {
    let operation = OperationBuilder::new()
        .operation_id(Some("revoke"))
        .summary(Some("Revocation, RFC 7009"))
        .request_body(Some(body(&with_credentials(&[("token", "the token", true)]))));
    by_client(operation).response("200", answer("it is worth nothing any more", object(&[])))
}

fn device() -> OperationBuilder {
    let operation = OperationBuilder::new()
        .operation_id(Some("device"))
        .summary(Some("Device authorization, RFC 8628"))
        .request_body(Some(body(&with_credentials(&[("scope", "the scopes", false)]))));
    let issued = told([
        ("device_code", text("to poll with"), true),
        ("user_code", text("to be typed"), true),
        ("verification_uri", text("the page to type it on"), true),
        ("verification_uri_complete", text("that page, with the code filled in"), true),
        ("expires_in", number("the lifetime of both codes, in seconds"), true),
        ("interval", number("between two polls, in seconds"), true),
    ]);
    by_client(operation).response("200", answer("what to show, and poll with", issued))
}

const REQUEST: [Member; 7] = [
    ("response_type", "code", true),
    ("redirect_uri", "one of the client's", false),
    ("scope", "the scopes asked for", false),
    ("state", "handed back", false),
    ("code_challenge", "RFC 7636", false),
    ("code_challenge_method", "S256", false),
    ("resource", "RFC 8707", false),
];

fn push(paths: &Paths) -> OperationBuilder {
    let operation = OperationBuilder::new()
        .operation_id(Some("push"))
        .summary(Some(format!("A request for {}, RFC 9126", paths.authorize)))
        .request_body(Some(body(&with_credentials(&REQUEST))));
    let pushed = told([
        ("request_uri", text("to be named at the authorization endpoint"), true),
        ("expires_in", number("its lifetime, in seconds"), true),
    ]);
    by_client(operation).response("201", answer("a reference to it", pushed))
}

fn parameter(name: &str, description: &str, place: ParameterIn, required: bool) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .description(Some(description))
        .required(if required { Required::True } else { Required::False })
        .schema(Some(text(description)))
        .build()
}

fn authorize() -> OperationBuilder {
    let queried = |(name, description, required): &Member| {
        parameter(name, description, ParameterIn::Query, *required)
    };
    let client: Member = ("client_id", "the client", true);
    let pushed: Member = ("request_uri", "RFC 9126", false);
    let members = REQUEST.map(|(name, description, _)| (name, description, false));
    let page = |description: &str| ResponseBuilder::new().description(description).build();
    let operation = OperationBuilder::new()
        .operation_id(Some("authorize"))
        .summary(Some("The authorization endpoint, RFC 6749 section 3.1"))
        .response("200", page("a page, to sign in or to decide on"))
        .response("303", page("back to the client"))
        .response("400", page("a page that says what is wrong"));
    [client, pushed]
        .iter()
        .chain(&members)
        .map(queried)
        .fold(operation, OperationBuilder::parameter)
}

/// The members of the metadata that are lists, and are always there.
const LISTS: [&str; 7] = [
    "grant_types_supported",
    "response_types_supported",
    "response_modes_supported",
    "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_methods_supported",
];

fn metadata(system: &System) -> OperationBuilder {
    let mut places =
        vec!["issuer", "token_endpoint", "introspection_endpoint", "revocation_endpoint"];
    if system.asks() {
        places.extend(["authorization_endpoint", "pushed_authorization_request_endpoint"]);
    }
    if system.has(&GrantType::DeviceCode) {
        places.push("device_authorization_endpoint");
    }
    let iss = value(Type::Boolean, "RFC 9207");
    let places = places.into_iter().map(|name| (name, text(""), true));
    let members = places.chain(LISTS.map(|name| (name, texts(), true))).chain([(
        "authorization_response_iss_parameter_supported",
        iss,
        true,
    )]);
    OperationBuilder::new()
        .operation_id(Some("metadata"))
        .summary(Some("The metadata of the server, RFC 8414"))
        .response("200", answer("where its endpoints are", told(members)))
}

fn resource(system: &System) -> OperationBuilder {
    let token = SecurityRequirement::new::<_, [&str; 0], &str>("token", []);
    let if_any = |what| value(SchemaType::from_iter([Type::String, Type::Null]), what);
    let caller = told([
        ("data", value(Type::Array, "nothing: it is an example"), true),
        ("caller", text("what the system calls such a caller"), true),
        ("client", if_any("the client; none for a personal access token"), true),
        ("subject", if_any("the person; none for a client itself"), true),
        ("scope", text("the scopes of the token"), true),
    ]);
    OperationBuilder::new()
        .summary(Some(format!("The example API of {}", system.title)))
        .security(token)
        .response("200", answer("who is calling", caller))
        .response("401", answer("RFC 6750 section 3.1", object(&ERROR)))
        .response("403", answer("the token lacks a scope", object(&ERROR)))
        .response("429", answer("too many failed attempts from there", object(&ERROR)))
}

/// What operators reach: method, path, what it does, and the status of the answer. Whatever is in
/// braces in a path is a parameter.
const OPERATIONS: [(HttpMethod, &str, &str, &str); 14] = [
    (HttpMethod::Get, "/health", "How the store is; 503 while it does not take all work", "200"),
    (HttpMethod::Get, "/metrics", "The metrics, for Prometheus", "200"),
    (HttpMethod::Get, "/admin/stats", "The figures of the store", "200"),
    (HttpMethod::Get, "/admin/clients", "A page of the clients", "200"),
    (HttpMethod::Post, "/admin/clients", "A new client; its secret is shown once", "201"),
    (HttpMethod::Get, "/admin/clients/{id}", "A client", "200"),
    (HttpMethod::Delete, "/admin/clients/{id}", "Deletes a client and ends what it has", "204"),
    (HttpMethod::Post, "/admin/clients/{id}/disable", "Disables a client", "200"),
    (HttpMethod::Post, "/admin/clients/{id}/enable", "Enables a client", "200"),
    (HttpMethod::Post, "/admin/clients/{id}/secrets", "One more secret, shown once", "201"),
    (HttpMethod::Delete, "/admin/clients/{id}/secrets/{secret}", "Removes a secret", "204"),
    (HttpMethod::Get, "/admin/subjects/{subject}/grants", "A page of what one has granted", "200"),
    (HttpMethod::Delete, "/admin/subjects/{subject}/grants", "Ends all that one has", "204"),
    (HttpMethod::Delete, "/admin/subjects/{subject}/grants/{family}", "Ends one grant", "204"),
];

/// What is not done to a client of the server's own.
const OWN: [&str; 3] =
    ["Deletes a client and ends what it has", "Disables a client", "One more secret, shown once"];

/// What a new client is, as RFC 7591 section 2 names it.
const NEW_CLIENT: [Member; 6] = [
    ("client_id", "one of your own; a random one by default", false),
    ("client_name", "what people call it", false),
    ("redirect_uris", "an array of addresses", false),
    ("grant_types", "an array of grant types", false),
    ("scope", "separated by spaces", false),
    (
        "token_endpoint_auth_method",
        "none for a public client; client_secret_basic, the default, or client_secret_post",
        false,
    ),
];

/// The document of what operators reach at this address.
pub(crate) fn operators(address: &str) -> OpenApi {
    let operator = || SecurityRequirement::new::<_, [&str; 0], &str>("operator", []);
    let mut paths = PathsBuilder::new();
    for (method, path, what, status) in OPERATIONS {
        let mut operation = OperationBuilder::new()
            .summary(Some(what))
            .response(status, ResponseBuilder::new().description(what).build());
        for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            operation = operation.parameter(parameter(name, "", ParameterIn::Path, true));
        }
        let refused = |operation: OperationBuilder, status, why| {
            operation.response(status, answer(why, object(&ERROR)))
        };
        if path.starts_with("/admin/") {
            operation = refused(operation.security(operator()), "401", "the secret is missing");
            operation = refused(operation, "400", "what was sent is not in order");
            operation = refused(operation, "429", "too many failed attempts from there");
        }
        if status == "200" && (path == "/admin/clients" || path.ends_with("/grants")) {
            let after =
                parameter("after", "the `next` of the page before", ParameterIn::Query, false);
            let limit = parameter("limit", "100 at most", ParameterIn::Query, false);
            operation = operation.parameter(after).parameter(limit);
        }
        if status == "201" && path == "/admin/clients" {
            let content = ContentBuilder::new().schema(Some(new_client())).build();
            let body = RequestBodyBuilder::new().content("application/json", content);
            operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
            operation = refused(operation, "409", "the client_id is another client's");
            operation = refused(operation, "413", "the body is longer than 64 KiB");
            operation = refused(operation, "415", "the body is of another media type");
        }
        if OWN.contains(&what) {
            operation = refused(operation, "409", "the client is the server's own");
        }
        let item = PathItemBuilder::new().operation(method, operation.build()).build();
        paths = paths.path(path, item);
    }
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title("For operators").version(env!("CARGO_PKG_VERSION")).build())
        .servers(Some([ServerBuilder::new().url(address).build()]))
        .paths(paths.build())
        .components(Some(ComponentsBuilder::new().security_scheme("operator", bearer).build()))
        .build()
}

fn new_client() -> Schema {
    let add = |object: ObjectBuilder, (name, description, _): &Member| {
        if description.starts_with("an array") {
            return object.property(*name, texts());
        }
        object.property(*name, text(description))
    };
    NEW_CLIENT.iter().fold(ObjectBuilder::new().schema_type(Type::Object), add).build().into()
}

#[cfg(test)]
mod tests {
    use super::{document, operators};
    use crate::systems::SYSTEMS;
    use std::fs;

    // Goal: the contract of each system is in the tree, and is what the server serves: whoever
    // changes an endpoint sees it in the diff. Method: the documents against the committed ones,
    // which GRANTKEEP_WRITE_CONTRACTS=1 writes anew.
    #[test]
    fn the_contracts_are_the_committed_ones() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi");
        let address = "http://127.0.0.1:8080";
        let systems = SYSTEMS.iter().map(|system| (system.name, document(system, address)));
        for (name, contract) in systems.chain([("operators", operators("http://127.0.0.1:9090"))]) {
            let contract = contract.to_pretty_json().unwrap() + "\n";
            let path = format!("{place}/{name}.json");
            if std::env::var_os("GRANTKEEP_WRITE_CONTRACTS").is_some() {
                fs::create_dir_all(place).unwrap();
                fs::write(&path, &contract).unwrap();
            }
            let committed = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                committed == contract,
                "{path} is not what is served: see what has changed with \
                 GRANTKEEP_WRITE_CONTRACTS=1 cargo test -p grantkeep-server contracts"
            );
        }
    }
}
