//! Signing in, people, roles, tokens, sessions and delegations, as people and programs meet them.

use axum::http::Method;
use chrono::TimeDelta;
use countersign::identity::permissions;
use countersign::identity::policy::{BUILT_IN, Policy};
use countersign::identity::{self, Actor, NewUser, Role};
use serde_json::{Value, json};

use crate::both;
use crate::builder::Person;
use crate::client::Answer;
use crate::harness::T;

const PASSWORD: &str = "correct horse battery";

/// Somebody with a password.
async fn anna(t: &T, roles: &[Role]) -> identity::people::PersonView {
    let new = NewUser {
        email: "Anna@Example.com".to_owned(),
        name: "Anna Keller".to_owned(),
        password: Some(PASSWORD.to_owned()),
        roles: roles.to_vec(),
        ..NewUser::default()
    };
    identity::add_user(t.app(), &Actor::console(), new).await.unwrap()
}

/// Sends the sign-in form.
async fn sign_in(t: &T, email: &str, password: &str, next: &str) -> Answer {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("email", email), ("password", password), ("next", next)])
        .finish();
    t.anonymous(Method::POST, "/sign-in").body("application/x-www-form-urlencoded", form).await
}

fn session(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").split(';').next().unwrap_or_default();
    cookie.strip_prefix("countersign_session=").unwrap_or_default().to_owned()
}

async fn with_cookie(t: &T, address: &str, session: &str) -> Answer {
    t.anonymous(Method::GET, address).header("cookie", format!("countersign_session={session}")).await
}

async fn with_token(t: &T, method: Method, address: &str, token: &str) -> Answer {
    t.anonymous(method, address).header("authorization", format!("Bearer {token}")).await
}

/// Makes a token with the person's session, as the account page does.
async fn make_token(person: &Person, scope: &str, days: i64) -> Answer {
    person
        .browse(Method::POST, "/api/v1/me/tokens")
        .header("x-csrf-token", &person.csrf)
        .body("application/json", json!({ "name": "nightly", "scope": scope, "expires_in_days": days }).to_string())
        .await
}

both! {
    async fn a_right_password_opens_a_session_and_goes_where_the_person_wanted_to_be(t: T) {
        anna(&t, &[]).await;
        let answer = sign_in(&t, " anna@example.COM ", PASSWORD, "/people?q=a").await.expect(303);
        assert_eq!(answer.header("location"), "/people?q=a");
        let cookie = answer.header("set-cookie");
        assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/; Max-Age=43200"), "{cookie}");
        with_cookie(&t, "/api/v1/me", &session(&answer)).await.ok();
        let away = sign_in(&t, "anna@example.com", PASSWORD, "//evil.example").await;
        assert_eq!(away.header("location"), "/");
    }

    async fn a_new_sign_in_ends_the_session_it_came_with(t: T) {
        anna(&t, &[]).await;
        let first = session(&sign_in(&t, "anna@example.com", PASSWORD, "/").await);
        let form = format!("email=anna%40example.com&password={}", PASSWORD.replace(' ', "+"));
        let second = t
            .anonymous(Method::POST, "/sign-in")
            .header("cookie", format!("countersign_session={first}"))
            .body("application/x-www-form-urlencoded", form)
            .await;
        assert_ne!(session(&second), first);
        with_cookie(&t, "/api/v1/me", &first).await.refused(401, "unauthenticated");
        with_cookie(&t, "/api/v1/me", &session(&second)).await.ok();
    }

    async fn a_sign_in_form_from_another_site_is_refused(t: T) {
        anna(&t, &[]).await;
        let form = format!("email=anna%40example.com&password={}", PASSWORD.replace(' ', "+"));
        let send = |name: &str, value: &str| {
            t.anonymous(Method::POST, "/sign-in")
                .header("host", "models.example")
                .header(name, value)
                .body("application/x-www-form-urlencoded", form.clone())
        };
        for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("origin", "null")] {
            let refused = send(name, value).await.expect(403);
            assert!(refused.text().contains("another site") && refused.header("set-cookie").is_empty(), "{name}: {value}");
        }
        for (name, value) in [("sec-fetch-site", "same-origin"), ("origin", "https://models.example")] {
            send(name, value).await.expect(303);
        }
    }

    async fn a_wrong_password_an_unknown_address_and_a_disabled_person_look_alike(t: T) {
        let anna = anna(&t, &[]).await;
        let wrong = sign_in(&t, "anna@example.com", "wrong horse battery", "/").await.expect(401).text();
        let unknown = sign_in(&t, "nobody@example.com", PASSWORD, "/").await.expect(401).text();
        assert_eq!(wrong.replace("anna@", "nobody@"), unknown);
        assert!(wrong.contains("There is no account with this e-mail and password."));
        identity::disable_user(t.app(), &Actor::console(), anna.user_id).await.unwrap();
        let disabled = sign_in(&t, "anna@example.com", PASSWORD, "/").await.expect(401).text();
        assert_eq!(disabled, wrong);
    }

    async fn five_failures_lock_an_address_whether_it_has_an_account_or_not(t: T) {
        anna(&t, &[]).await;
        for email in ["anna@example.com", "nobody@example.com"] {
            for _ in 0..5 {
                sign_in(&t, email, "wrong horse battery", "/").await.expect(401);
            }
        }
        let locked = sign_in(&t, "anna@example.com", PASSWORD, "/").await.expect(429).text();
        let unknown = sign_in(&t, "nobody@example.com", PASSWORD, "/").await.expect(429).text();
        assert_eq!(locked.replace("anna@", "nobody@"), unknown);
        assert!(locked.contains("This account is locked until 12:00:30 UTC."));
        assert_eq!(t.number("SELECT COUNT(*) FROM ledger_entries WHERE action = 'account.locked'").await, 1);
        t.at("2026-03-31T12:00:29Z");
        sign_in(&t, "anna@example.com", PASSWORD, "/").await.expect(429);
        t.at("2026-03-31T12:00:31Z");
        sign_in(&t, "anna@example.com", PASSWORD, "/").await.expect(303);
        sign_in(&t, "anna@example.com", "wrong horse battery", "/").await.expect(401);
        sign_in(&t, "anna@example.com", PASSWORD, "/").await.expect(303);
    }

    async fn each_further_failure_doubles_the_lock_and_a_quiet_day_forgets_them(t: T) {
        anna(&t, &[]).await;
        for _ in 0..5 {
            sign_in(&t, "anna@example.com", "wrong horse battery", "/").await.expect(401);
        }
        t.at("2026-03-31T12:00:31Z");
        sign_in(&t, "anna@example.com", "wrong horse battery", "/").await.expect(401);
        t.at("2026-03-31T12:01:30Z");
        sign_in(&t, "anna@example.com", PASSWORD, "/").await.expect(429);
        t.at("2026-04-02T12:00:00Z");
        sign_in(&t, "anna@example.com", "wrong horse battery", "/").await.expect(401);
        sign_in(&t, "anna@example.com", PASSWORD, "/").await.expect(303);
    }

    async fn guesses_sent_at_once_are_counted_one_by_one(t: T) {
        anna(&t, &[]).await;
        let guesses = (0..20).map(|_| sign_in(&t, "anna@example.com", "wrong horse battery", "/"));
        let answers = futures_util::future::join_all(guesses).await;
        let checked = answers.iter().filter(|answer| answer.status() == 401).count();
        assert!(checked <= 5 + 3, "{checked} guesses were checked");
    }

    async fn a_session_ends_by_the_clock(t: T) {
        anna(&t, &[]).await;
        let session = session(&sign_in(&t, "anna@example.com", PASSWORD, "/").await);
        t.at("2026-03-31T23:59:59Z");
        with_cookie(&t, "/api/v1/me", &session).await.ok();
        t.at("2026-04-01T00:00:00Z");
        with_cookie(&t, "/api/v1/me", &session).await.refused(401, "unauthenticated");
        let page = with_cookie(&t, "/people?q=a", &session).await.expect(303);
        assert_eq!(page.header("location"), "/sign-in?next=%2Fpeople%3Fq%3Da");
    }

    async fn signing_out_ends_the_session_and_needs_its_form_token(t: T) {
        let ben = t.person("Ben").await;
        let page = ben.page("/account").await.ok();
        ben.browse(Method::POST, "/sign-out").body("application/x-www-form-urlencoded", "_csrf=wrong").await.expect(403);
        let left = ben.submit(&page, "form[action='/sign-out']", &[]).await;
        assert_eq!(left.address, "/sign-in");
        with_cookie(&t, "/api/v1/me", &ben.session).await.refused(401, "unauthenticated");
    }

    async fn a_person_ends_one_session_or_all(t: T) {
        let person = anna(&t, &[]).await;
        let first = session(&sign_in(&t, "anna@example.com", PASSWORD, "/").await);
        let second = session(&sign_in(&t, "anna@example.com", PASSWORD, "/").await);
        let listed = with_cookie(&t, "/api/v1/me/sessions", &first).await.ok().json();
        let other = listed["items"].as_array().unwrap().iter().find(|one| one["current"] == false).unwrap();
        let token = csrf(&t, &first).await;
        let address = format!("/api/v1/me/sessions/{}", other["session_id"].as_str().unwrap());
        let cookie = format!("countersign_session={first}");
        t.anonymous(Method::DELETE, &address).header("cookie", &cookie).header("x-csrf-token", &token).await.ok();
        with_cookie(&t, "/api/v1/me", &second).await.refused(401, "unauthenticated");
        let all = t.anonymous(Method::DELETE, "/api/v1/me/sessions").header("cookie", &cookie);
        assert_eq!(all.header("x-csrf-token", &token).await.ok().json()["sessions_ended"], 1);
        with_cookie(&t, "/api/v1/me", &first).await.refused(401, "unauthenticated");
        assert_eq!(person.roles, [Role::Member]);
    }

    async fn changing_ones_password_needs_the_old_one_and_ends_the_other_sessions(t: T) {
        anna(&t, &[]).await;
        let first = session(&sign_in(&t, "anna@example.com", PASSWORD, "/").await);
        let second = session(&sign_in(&t, "anna@example.com", PASSWORD, "/").await);
        let token = csrf(&t, &first).await;
        let change = |body: Value| {
            t.anonymous(Method::PUT, "/api/v1/me/password")
                .header("cookie", format!("countersign_session={first}"))
                .header("x-csrf-token", &token)
                .body("application/json", body.to_string())
        };
        let wrong = change(json!({ "current_password": "wrong horse battery", "password": "a new long password" })).await;
        assert_eq!(wrong.refused(422, "invalid").problem_fields(), ["current_password"]);
        let short = change(json!({ "current_password": PASSWORD, "password": "short" })).await;
        assert_eq!(short.refused(422, "invalid").problem_fields(), ["password"]);
        change(json!({ "current_password": PASSWORD, "password": "a new long password" })).await.ok();
        with_cookie(&t, "/api/v1/me", &first).await.ok();
        with_cookie(&t, "/api/v1/me", &second).await.refused(401, "unauthenticated");
        sign_in(&t, "anna@example.com", PASSWORD, "/").await.expect(401);
        sign_in(&t, "anna@example.com", "a new long password", "/").await.expect(303);
    }

    async fn a_token_is_shown_once_works_until_it_expires_and_says_when_it_was_used(t: T) {
        let ben = t.person("Ben").await;
        let made = make_token(&ben, "write", 30).await.expect(201);
        assert_eq!(made.header("cache-control"), "no-store");
        let made = made.json();
        let secret = made["secret"].as_str().unwrap();
        with_token(&t, Method::GET, "/api/v1/me", secret).await.ok();
        let listed = ben.get("/api/v1/me/tokens").await.ok();
        assert!(!listed.text().contains(secret));
        assert_eq!(listed.json()["items"][0]["last_used_at"], "2026-03-31T12:00:00Z");
        t.advance(30);
        with_token(&t, Method::GET, "/api/v1/me", secret).await.refused(401, "unauthenticated");
    }

    async fn a_revoked_token_no_longer_works_and_only_its_person_or_an_administrator_revokes_it(t: T) {
        let (ben, eve) = (t.person("Ben").await, t.person("Eve").await);
        let made = make_token(&ben, "read", 30).await.expect(201).json();
        let address = format!("/api/v1/tokens/{}", made["token_id"]);
        eve.delete(&address).await.refused(404, "not_found");
        ben.delete(&address).await.ok();
        ben.delete(&address).await.ok();
        with_token(&t, Method::GET, "/api/v1/me", made["secret"].as_str().unwrap()).await.refused(401, "unauthenticated");
        assert_eq!(t.number("SELECT COUNT(*) FROM ledger_entries WHERE action = 'token.revoked'").await, 1);
        let other = make_token(&ben, "read", 30).await.expect(201).json();
        t.admin().await.delete(&format!("/api/v1/tokens/{}", other["token_id"])).await.ok();
    }

    async fn a_read_token_reads_and_changes_nothing(t: T) {
        let admin = t.admin().await;
        let made = make_token(&admin, "read", 30).await.expect(201).json();
        let secret = made["secret"].as_str().unwrap();
        with_token(&t, Method::GET, "/api/v1/users", secret).await.ok();
        let body = json!({ "email": "new@example.com", "name": "New" }).to_string();
        let refused = t
            .anonymous(Method::POST, "/api/v1/users")
            .header("authorization", format!("Bearer {secret}"))
            .body("application/json", body)
            .await
            .refused(403, "read_only_token");
        assert!(refused.text().contains("a token with the scope “read” changes nothing"));
    }

    async fn a_token_makes_no_token_and_tokens_have_bounds(t: T) {
        let ben = t.person("Ben").await;
        let body = json!({ "name": "x", "scope": "write", "expires_in_days": 1 });
        ben.post("/api/v1/me/tokens", body).await.refused(403, "forbidden");
        for days in [0, -1, 367, i64::MAX] {
            assert_eq!(make_token(&ben, "read", days).await.refused(422, "invalid").problem_fields(), ["expires_in_days"]);
        }
    }

    async fn an_administrator_adds_people_and_nobody_else_does(t: T) {
        let admin = t.admin().await;
        let uk = t.region("UK").await;
        let body = json!({ "email": "Chidi@Example.com ", "name": " Chidi ", "roles": ["REGIONAL_APPROVER", "VALIDATOR"],
                           "approves_for": [uk.id] });
        for role in Role::ALL.iter().filter(|role| !matches!(role, Role::Admin | Role::RegionalApprover)) {
            let other = t.person(&format!("Other {role}")).role(*role).await;
            let refused = other.post("/api/v1/users", body.clone()).await.refused(403, "forbidden");
            assert!(!refused.json()["rules"].as_array().unwrap().is_empty(), "{role}");
        }
        let made = admin.post("/api/v1/users", body.clone()).await.expect(201);
        assert_eq!(made.json()["email"], "chidi@example.com");
        assert_eq!(made.json()["roles"], json!(["VALIDATOR", "REGIONAL_APPROVER"]));
        assert_eq!(made.json()["approves_for"][0]["code"], "UK");
        admin.post("/api/v1/users", body).await.refused(409, "conflict");
    }

    async fn a_person_to_add_must_hold_together(t: T) {
        let admin = t.admin().await;
        let cases = [
            (json!({ "email": "no address", "name": "" }), vec!["name", "email"]),
            (json!({ "email": "a@example.com", "name": "A", "password": "short" }), vec!["password"]),
            (json!({ "email": "a@example.com", "name": "A", "roles": ["REGIONAL_APPROVER"] }), vec!["approves_for"]),
            (json!({ "email": "a@example.com", "name": "A", "approves_for": [1] }), vec!["approves_for"]),
            (json!({ "email": "a@example.com", "name": "A", "roles": ["REGIONAL_APPROVER"], "approves_for": [99] }), vec!["approves_for"]),
            (json!({ "email": "a@example.com", "name": "A", "roles": ["AUDITOR", "ADMIN"] }), vec!["roles"]),
            (json!({ "email": "a@example.com", "name": "A", "rank": 1 }), vec!["rank"]),
            (json!({ "email": "a@example.com", "name": "x".repeat(201) }), vec!["name"]),
        ];
        for (body, fields) in cases {
            let refused = admin.post("/api/v1/users", body.clone()).await.refused(422, "invalid");
            assert_eq!(refused.problem_fields(), fields, "{body}");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM users").await, 1);
    }

    async fn roles_are_set_on_what_was_read_and_count_at_once(t: T) {
        let (admin, ben) = (t.admin().await, t.person("Ben").await);
        let address = format!("/api/v1/users/{}", ben.id);
        let revision = admin.get(&address).await.ok().revision();
        let roles = format!("{address}/roles");
        admin.put(&roles, json!({ "roles": ["COMPLIANCE"] })).await.refused(428, "precondition_required");
        admin.put(&roles, json!({ "roles": ["COMPLIANCE"] })).if_match(revision).await.ok();
        admin.put(&roles, json!({ "roles": ["ADMIN"] })).if_match(revision).await.refused(412, "stale");
        assert_eq!(ben.get("/api/v1/me").await.ok().json()["roles"], json!(["COMPLIANCE"]));
        ben.put(&roles, json!({ "roles": ["ADMIN"] })).if_match(revision + 1).await.refused(403, "forbidden");
    }

    async fn the_last_active_administrator_stays_one(t: T) {
        let (admin, second) = (t.admin().await, t.person("Second").role(Role::Admin).await);
        let address = |person: &Person| format!("/api/v1/users/{}", person.id);
        admin.post(&format!("{}/disable", address(&second)), json!({})).await.ok();
        let revision = admin.get(&address(&admin)).await.ok().revision();
        let roles = format!("{}/roles", address(&admin));
        admin.put(&roles, json!({ "roles": ["MEMBER"] })).if_match(revision).await.refused(409, "last_administrator");
        admin.post(&format!("{}/disable", address(&admin)), json!({})).await.refused(409, "last_administrator");
        admin.post(&format!("{}/enable", address(&second)), json!({})).await.ok();
        admin.put(&roles, json!({ "roles": ["MEMBER"] })).if_match(revision).await.ok();
        admin.post("/api/v1/users", json!({ "email": "x@example.com", "name": "X" })).await.refused(403, "forbidden");
    }

    async fn two_administrators_cannot_remove_each_other_at_once(t: T) {
        let (one, two) = (t.admin().await, t.person("Second").role(Role::Admin).await);
        let (first, second) = (format!("/api/v1/users/{}/disable", two.id), format!("/api/v1/users/{}/disable", one.id));
        tokio::join!(one.post(&first, json!({})).into_future(), two.post(&second, json!({})).into_future());
        assert_eq!(t.number("SELECT COUNT(*) FROM users WHERE NOT disabled").await, 1);
    }

    async fn disabling_a_person_ends_their_sessions_and_tokens(t: T) {
        let (admin, ben) = (t.admin().await, t.person("Ben").await);
        ben.page("/account").await.ok();
        admin.post(&format!("/api/v1/users/{}/disable", ben.id), json!({})).await.ok();
        ben.get("/api/v1/me").await.refused(401, "unauthenticated");
        assert_eq!(ben.page("/account").await.address, "/sign-in?next=%2Faccount");
        admin.post(&format!("/api/v1/users/{}/enable", ben.id), json!({})).await.ok();
        ben.get("/api/v1/me").await.refused(401, "unauthenticated");
        admin.post(&format!("/api/v1/users/{}/enable", ben.id), json!({})).await.refused(409, "conflict");
    }

    async fn a_password_set_by_an_administrator_ends_sessions_and_lifts_the_lock(t: T) {
        let (admin, person) = (t.admin().await, anna(&t, &[]).await);
        let session = session(&sign_in(&t, "anna@example.com", PASSWORD, "/").await);
        for _ in 0..5 {
            sign_in(&t, "anna@example.com", "wrong horse battery", "/").await.expect(401);
        }
        let address = format!("/api/v1/users/{}/password", person.user_id);
        admin.put(&address, json!({ "password": "another long one" })).await.ok();
        with_cookie(&t, "/api/v1/me", &session).await.refused(401, "unauthenticated");
        sign_in(&t, "anna@example.com", "another long one", "/").await.expect(303);
        assert_eq!(t.number("SELECT COUNT(*) FROM ledger_entries WHERE after LIKE '%another long one%'").await, 0);
    }

    async fn people_are_listed_searched_and_paged_in_few_statements(t: T) {
        let admin = t.admin().await;
        for name in ["Zoe", "anna", "Ben", "100% Sure"] {
            t.person(name).role(Role::Validator).await;
        }
        let first = admin.get("/api/v1/users?limit=3").await.ok().assert_statements_at_most(4).json();
        assert_eq!(names(&first), ["100% Sure", "Ada Admin", "anna"]);
        assert_eq!((&first["total_count"], &first["active_count"]), (&json!(5), &json!(5)));
        let rest = admin.get(&format!("/api/v1/users?limit=3&cursor={}", first["next_cursor"].as_str().unwrap())).await;
        assert_eq!(names(&rest.ok().json()), ["Ben", "Zoe"]);
        assert_eq!(names(&admin.get("/api/v1/users?role=VALIDATOR&q=%25").await.ok().json()), ["100% Sure"]);
        assert_eq!(names(&admin.get("/api/v1/users?q=ANNA").await.ok().json()), ["anna"]);
        admin.get("/api/v1/users?role=KING").await.refused(422, "invalid");
        admin.get("/api/v1/users?cursor=xyz").await.refused(422, "invalid");
        let page = admin.page("/people?q=ben").await.ok().assert_statements_at_most(5);
        assert_eq!(page.texts("#people tbody th"), ["Ben"]);
    }

    async fn an_administrator_works_on_people_in_the_browser(t: T) {
        let (admin, uk) = (t.admin().await, t.region("UK").await);
        let form = admin.page("/people/new").await.ok();
        let again = admin.submit(&form, "form[action='/people']", &[("name", "Chidi"), ("email", "nonsense")]).await.expect(422);
        assert_eq!(again.count("#email-error"), 1);
        let region = uk.id.to_string();
        let fields =
            [("name", "Chidi"), ("email", "chidi@example.com"), ("roles", "REGIONAL_APPROVER"), ("approves_for", &region)];
        let person = admin.submit(&again, "form[action='/people']", &fields).await.ok();
        assert_eq!(person.text("h1"), "Chidi");
        assert!(person.text("main").contains("UK"));
        let edit = admin.page(&format!("{}/edit", person.address)).await.ok();
        let named = admin.submit(&edit, &format!("form[action='{}']", person.address), &[("name", "Chidi A.")]).await.ok();
        assert_eq!(named.text("h1"), "Chidi A.");
        let stale = admin.submit(&edit, &format!("form[action='{}']", person.address), &[("name", "Late")]).await.expect(412);
        assert!(stale.text("[role=alert]").contains("revision"));
        let off = admin.submit(&edit, "form[action$='/disable']", &[]).await.ok();
        assert!(off.text("main").contains("Disabled"));
        t.person("Ben").await.page("/people/new").await.expect(403);
    }

    async fn the_account_page_makes_a_token_and_shows_it_once(t: T) {
        let ben = t.person("Ben").await;
        let account = ben.page("/account").await.ok().assert_statements_at_most(5);
        let made = ben.submit(&account, "form[action='/account/tokens']", &[("name", "nightly")]).await.ok();
        assert_eq!(made.headers["cache-control"], "no-store");
        let secret = made.text("#secret");
        with_token(&t, Method::GET, "/api/v1/me", &secret).await.ok();
        assert!(!made.has("#connect"), "a token that reads keeps no runs");
        let made = ben.submit(&account, "form[action='/account/tokens']", &[("name", "lab"), ("scope", "write")]).await.ok();
        let connect = made.text("#connect pre");
        let address = connect.split("set_tracking_uri(\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        assert!(address.starts_with("http") && !address.ends_with('/'), "{connect}");
        assert!(connect.contains("the token above") && !connect.contains(&made.text("#secret")), "{connect}");
        let account = ben.page("/account").await.ok();
        assert!(account.text("#tokens").contains("nightly") && !account.html.contains(&secret));
        let after = ben.submit(&account, "form[action$='/revoke']", &[]).await.ok();
        assert!(after.text("#tokens").contains("Revoked"));
    }

    async fn a_delegate_has_the_rights_lent_until_they_expire(t: T) {
        let (owner, ben) = (t.person("Olga").await, t.person("Ben").await);
        let model = t.model("PD Mortgage").owned_by(&owner).await;
        let address = format!("/api/v1/models/{}/delegations", model.id);
        ben.get(&address).await.refused(404, "not_found");
        let ends = t.now() + TimeDelta::days(7);
        let lend = json!({ "user_id": ben.id, "can_deploy": true, "expires_at": ends });
        owner.post(&address, lend).await.expect(201);
        let seen = ben.get(&address).await.ok().json();
        assert_eq!((&seen["active_count"], &seen["can_delegate"]), (&json!(1), &json!(false)));
        t.advance(7);
        ben.get(&address).await.refused(404, "not_found");
        let history = owner.get(&address).await.ok().json();
        assert_eq!(history["items"][0]["state"], "EXPIRED");
        assert_eq!(history["active_count"], 0);
    }

    async fn a_second_delegation_replaces_the_first_and_history_is_kept(t: T) {
        let (owner, ben) = (t.person("Olga").await, t.person("Ben").await);
        let model = t.model("PD Mortgage").owned_by(&owner).await;
        let address = format!("/api/v1/models/{}/delegations", model.id);
        owner.post(&address, json!({ "user_id": ben.id, "can_deploy": true })).await.expect(201);
        let second = owner.post(&address, json!({ "user_id": ben.id, "can_submit_changes": true })).await.expect(201).json();
        let revoke = format!("/api/v1/delegations/{}/revoke", second["delegation_id"]);
        ben.post(&revoke, json!({})).await.refused(403, "forbidden");
        t.person("Eve").await.post(&revoke, json!({})).await.refused(404, "not_found");
        owner.post(&revoke, json!({})).await.ok();
        owner.post(&revoke, json!({})).await.refused(409, "conflict");
        let history = owner.get(&address).await.ok().assert_statements_at_most(5).json();
        let states: Vec<_> = history["items"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
        assert_eq!(states, ["REVOKED", "REVOKED"]);
        assert_eq!(history["items"][0]["revoked_by_name"], "Olga");
        ben.get(&address).await.refused(404, "not_found");
    }

    async fn rights_are_lent_by_the_owner_or_an_administrator_to_somebody_else(t: T) {
        let (admin, owner, ben) = (t.admin().await, t.person("Olga").await, t.person("Ben").await);
        let model = t.model("PD Mortgage").owned_by(&owner).await;
        let address = format!("/api/v1/models/{}/delegations", model.id);
        let lend = |to: &Person| json!({ "user_id": to.id, "can_deploy": true });
        let validator = t.person("Val").role(Role::Validator).await;
        validator.post(&address, lend(&ben)).await.refused(403, "forbidden");
        t.person("Eve").await.post(&address, lend(&ben)).await.refused(404, "not_found");
        for (by, to) in [(&owner, &owner), (&admin, &owner), (&admin, &admin)] {
            assert_eq!(by.post(&address, lend(to)).await.refused(422, "invalid").problem_fields(), ["user_id"]);
        }
        owner.post(&address, json!({ "user_id": 999, "can_deploy": true })).await.refused(422, "invalid");
        owner.post(&address, json!({ "user_id": ben.id })).await.refused(422, "invalid");
        let past = json!({ "user_id": ben.id, "can_deploy": true, "expires_at": t.now() });
        assert_eq!(owner.post(&address, past).await.refused(422, "invalid").problem_fields(), ["expires_at"]);
        admin.post(&address, lend(&ben)).await.expect(201);
    }

    async fn an_owner_lends_and_takes_back_rights_in_the_browser(t: T) {
        let (owner, ben) = (t.person("Olga").await, t.person("Ben").await);
        let model = t.model("PD Mortgage").owned_by(&owner).await;
        let address = format!("/models/{}/delegations", model.id);
        let form = owner.page(&address).await.ok();
        let unknown = owner.submit(&form, "#modal form", &[("email", "nobody@example.com")]).await.expect(422);
        assert_eq!(unknown.text("#user_id-error"), "Nobody has this address.");
        owner.submit(&unknown, "#modal form", &[("email", "ben@example.com"), ("last_day", "2026-04-30")]).await;
        let page = owner.page(&format!("/people/{}", ben.id)).await.ok().assert_statements_at_most(5);
        assert!(page.text("#delegations").contains("PD Mortgage"));
        let lent = owner.get(&format!("/api/v1/models/{}/delegations", model.id)).await.ok().json();
        assert_eq!(lent["items"][0]["expires_at"], "2026-05-01T00:00:00Z");
        ben.page(&address).await.expect(403);
    }

    async fn a_person_sees_what_was_lent_only_on_models_they_may_see(t: T) {
        let (owner, ben, eve) = (t.person("Olga").await, t.person("Ben").await, t.person("Eve").await);
        let model = t.model("PD Mortgage").owned_by(&owner).await;
        let lend = json!({ "user_id": ben.id, "can_deploy": true });
        owner.post(&format!("/api/v1/models/{}/delegations", model.id), lend).await.expect(201);
        let address = format!("/api/v1/users/{}/delegations", ben.id);
        let seen = |answer: Answer| answer.ok().json()["items"].as_array().unwrap().len();
        assert_eq!(seen(owner.get(&address).await), 1);
        assert_eq!(seen(ben.get(&address).await), 1);
        assert_eq!(seen(eve.get(&address).await), 0);
        assert_eq!(seen(t.person("Val").role(Role::Auditor).await.get(&address).await), 1);
    }
}

async fn csrf(t: &T, session: &str) -> String {
    let page = with_cookie(t, "/account", session).await.ok().text();
    let (_, rest) = page.split_once("name=\"csrf\" content=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

fn names(people: &Value) -> Vec<&str> {
    people["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

/// `docs/permissions.md` is what the policy answers; `make docs` writes it.
#[test]
fn documents_say_who_may_do_what_as_the_policy_does() {
    let document = permissions::document(&Policy::parse(BUILT_IN).unwrap());
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/permissions.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(file, &document).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(written == document, "docs/permissions.md is out of date; `make docs` rewrites it");
}
