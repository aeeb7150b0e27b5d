//! The contract of a server: what its endpoints take and answer, as `OpenAPI` 3.1.

use crate::systems::System;
use grantkeep_axum::Paths;
use grantkeep_grants::GrantType;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItemBuilder,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
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

fn text(description: &str) -> Schema {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).build().into()
}

fn object(members: &[Member]) -> Schema {
    let add = |object: ObjectBuilder, (name, description, required): &Member| {
        let object = object.property(*name, text(description));
        if *required { object.required(*name) } else { object }
    };
    let object = ObjectBuilder::new().schema_type(Type::Object);
    members.iter().fold(object, add).build().into()
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
    let issued = object(&[
        ("access_token", "", true),
        ("token_type", "", true),
        ("refresh_token", "", false),
        ("scope", "", false),
    ]);
    let operation = OperationBuilder::new()
        .operation_id(Some("token"))
        .summary(Some("The token endpoint, RFC 6749 section 3.2"))
        .request_body(Some(body(&with_credentials(&members))));
    by_client(operation).response("200", answer("a token", issued))
}

fn introspect() -> OperationBuilder {
    let operation = OperationBuilder::new()
        .operation_id(Some("introspect"))
        .summary(Some("Introspection, RFC 7662"))
        .request_body(Some(body(&with_credentials(&[
            ("token", "the token", true),
            ("token_type_hint", "not needed", false),
        ]))));
    let told = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("active", ObjectBuilder::new().schema_type(Type::Boolean).build())
        .required("active")
        .build();
    by_client(operation).response("200", answer("what it stands for", told.into()))
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
    let members = [
        ("device_code", "", true),
        ("user_code", "", true),
        ("verification_uri", "", true),
        ("verification_uri_complete", "", false),
    ];
    by_client(operation).response("200", answer("what to show, and poll with", object(&members)))
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
    let members = [("request_uri", "", true)];
    by_client(operation).response("201", answer("a reference to it", object(&members)))
}

fn authorize() -> OperationBuilder {
    let parameter = |(name, description, required): &Member| {
        ParameterBuilder::new()
            .name(*name)
            .parameter_in(ParameterIn::Query)
            .description(Some(*description))
            .required(if *required { Required::True } else { Required::False })
            .schema(Some(text(description)))
            .build()
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
        .map(parameter)
        .fold(operation, OperationBuilder::parameter)
}

fn resource(system: &System) -> OperationBuilder {
    let token = SecurityRequirement::new::<_, [&str; 0], &str>("token", []);
    OperationBuilder::new()
        .summary(Some(format!("The example API of {}", system.title)))
        .security(token)
        .response("200", answer("who is calling", object(&[("caller", "", true)])))
        .response("401", answer("RFC 6750 section 3.1", object(&ERROR)))
        .response("403", answer("the token lacks a scope", object(&ERROR)))
        .response("429", answer("too many failed attempts from there", object(&ERROR)))
}
