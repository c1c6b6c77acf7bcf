//! Who may pass with a good token (specification section 8).

use flow::{Dialect, World};
use oidc_filter::host::Counter;
use serde_json::{Value, json};

/// Each good claim set is forwarded, each bad one is 403; both are asked twice, for the cache.
#[track_caller]
fn judged(members: Value, good: &[Value], bad: &[Value]) {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, members.clone());
        for claims in good {
            let token = world.token(claims.clone());
            world.show(&token).assert_user("alex");
            world.show(&token).assert_user("alex");
        }
        for claims in bad {
            let token = world.token(claims.clone());
            world.show(&token).assert_status(403);
            world.show(&token).assert_status(403);
        }
        let tokens = u64::try_from(good.len() + bad.len()).expect("few");
        assert_eq!(
            world.counted(Counter::VerdictHit),
            tokens,
            "verdicts are remembered either way"
        );
    }
}

#[test]
fn c07_elements_are_alternatives_and_words_belong_together() {
    judged(
        json!({"scopes_required": ["read write", "admin"]}),
        &[
            json!({"scope": "read write"}),
            json!({"scope": "write x read"}),
            json!({"scope": ["write", "read"]}),
            json!({"scope": "admin"}),
            json!({"scope": ["admin"]}),
        ],
        &[
            json!({"scope": "read"}),
            json!({"scope": ["read write"]}),
            json!({"scope": "administrator"}),
            json!({"scope": "Admin"}),
            json!({"scope": ""}),
            json!({"scope": []}),
            json!({"scope": {"admin": true}}),
            json!({"scope": null}),
        ],
    );
}

#[test]
fn cve_2020_26160_every_form_of_an_audience_is_compared_whole() {
    judged(
        json!({"audience_required": ["api"]}),
        &[
            json!({"aud": "api"}),
            json!({"aud": ["other", "api"]}),
            json!({"aud": "other api"}),
        ],
        &[
            json!({"aud": "api2"}),
            json!({"aud": ["ap", "i"]}),
            json!({"aud": [["api"]]}),
            json!({"aud": []}),
            json!({"aud": [""]}),
            json!({"aud": true}),
            json!({"aud": null}),
        ],
    );
}

#[test]
fn groups_and_roles_are_found_down_their_paths() {
    judged(
        json!({"groups_required": ["staff"], "roles_required": ["editor"], "roles_claim": ["realm_access", "roles"]}),
        &[json!({"groups": ["staff"], "realm_access": {"roles": ["editor", "x"]}})],
        &[
            json!({"groups": ["staff"]}),
            json!({"groups": ["staff"], "roles": ["editor"]}),
            json!({"realm_access": {"roles": ["editor"]}}),
            json!({"groups": ["staff"], "realm_access": "roles"}),
            json!({"groups": ["staff"], "realm_access": {"roles": {"editor": true}}}),
            json!({"groups": ["staff"], "realm_access.roles": ["editor"]}),
        ],
    );
    judged(
        json!({"roles_required": ["editor"], "roles_claim": ["sites", "2", "role"]}),
        &[json!({"sites": [{"role": "x"}, {"role": "editor"}]})],
        &[
            json!({"sites": [{"role": "editor"}]}),
            json!({"sites": [{"role": "editor"}, {}]}),
        ],
    );
}

#[test]
fn a_forbidden_claim_is_one_that_is_there_at_all() {
    judged(
        json!({"claims_forbidden": ["act", "may_act"]}),
        &[json!({}), json!({"action": 1})],
        &[
            json!({"act": {"sub": "x"}}),
            json!({"may_act": false}),
            json!({"act": ""}),
        ],
    );
}

#[test]
fn c21_a_token_without_hd_is_of_no_domain() {
    judged(
        json!({"domains": ["corp.test"]}),
        &[json!({"hd": "corp.test"})],
        &[
            json!({}),
            json!({"hd": "evil.test"}),
            json!({"hd": ["corp.test"]}),
            json!({"hd": "CORP.test"}),
        ],
    );
}

#[test]
fn a_login_may_be_too_old() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({"max_age": 60, "leeway": 5}));
        let now = world.now();
        world.show(&world.token(json!({}))).assert_status(403);
        world
            .show(&world.token(json!({"auth_time": now - 65})))
            .assert_status(403);
        world
            .show(&world.token(json!({"auth_time": "x"})))
            .assert_status(401);
        let token = world.token(json!({"auth_time": now - 60}));
        world.show(&token).assert_user("alex");
        world.pass_milliseconds(4_999);
        world.show(&token).assert_user("alex");
        world.pass_milliseconds(1);
        world.show(&token).assert_status(403);
    }
}

#[test]
fn an_expired_token_is_unauthorized_before_it_is_forbidden() {
    let world = World::ready(Dialect::Envoy, json!({"scopes_required": ["admin"]}));
    let token = world.token(json!({"exp": world.now() + 10}));
    world.show(&token).assert_status(403);
    world.pass_seconds(10);
    world.show(&token).assert_status(401);
    world
        .show(&world.token_of("stranger", json!({})))
        .assert_status(401);
}

#[test]
fn issuers_allowed_takes_the_place_of_the_discovered_one() {
    let world = World::ready(
        Dialect::Envoy,
        json!({"issuers_allowed": ["https://a.test", "https://b.test/"]}),
    );
    for good in ["https://a.test", "https://a.test/", "https://b.test"] {
        world
            .show(&world.token(json!({"iss": good})))
            .assert_user("alex");
    }
    for bad in [
        "https://idp.test/realm",
        "https://a.test.evil",
        "https://A.test",
        "",
    ] {
        world
            .show(&world.token(json!({"iss": bad})))
            .assert_status(401);
    }
}
