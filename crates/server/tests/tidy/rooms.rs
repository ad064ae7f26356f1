//! The rooms of the server, and the direction of their imports: a room may import the rooms below it and no other, so
//! that what the program owns never takes the program.

use crate::imports::{Crate, pairs, planted};
use crate::source::below;

const SERVER: &str = "crates/server/src";

/// The modules of `crates/server/src/main.rs` from top to ground.
const ROOMS: &[&str] = &[
    "cli",
    "listener",
    "live",
    "admin",
    "request",
    "ops",
    "relay",
    "background",
    "effects",
    "app",
    "state",
    "capacity",
    "config",
    "trust",
    "failure",
    "supervision",
    "metrics",
    "cache",
    "clock",
    "logging",
    "lock",
    "source",
    "stop",
];

/// Imports of a room above: the file, the room, and the reason. This list may only shrink.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

#[test]
fn no_room_of_the_server_imports_a_room_above_it() {
    let complaints = check(&Crate::read(SERVER, below(SERVER)), SERVER, ROOMS, EXCEPTIONS);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The room that a file belongs to; `None` for the root of the crate, which declares the rooms.
fn room<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    let inside = path.strip_prefix(folder).unwrap().trim_start_matches('/');
    let room = inside.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    (room != "main").then_some(room)
}

fn check(krate: &Crate, folder: &str, rooms: &[&str], exceptions: &[(&str, &str, &str)]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut unused: Vec<(&str, &str)> = exceptions.iter().map(|(file, room, _)| (*file, *room)).collect();
    let height = |wanted: &str| rooms.iter().position(|room| *room == wanted);
    for ((from, to), import) in pairs(krate) {
        let (Some(lower), Some(upper)) = (room(from, folder), room(to, folder)) else { continue };
        let (Some(from_height), Some(to_height)) = (height(lower), height(upper)) else { continue };
        if to_height >= from_height {
            continue;
        }
        if exceptions.iter().any(|(file, room, _)| *file == from && *room == upper) {
            unused.retain(|exception| *exception != (from, upper));
            continue;
        }
        complaints.push(format!(
            "{from}:{}: the room `{lower}` imports {} of the room `{upper}`, which stands above it. Let the caller \
             pass in what is needed, or move it to a room below both (tests/tidy/rooms.rs has the order)",
            import.line, import.path
        ));
    }
    for file in &krate.files {
        if let Some(room) = room(&file.path, folder)
            && height(room).is_none()
        {
            complaints.push(format!("{}: the room `{room}` has no place in tests/tidy/rooms.rs", file.path));
        }
    }
    for name in rooms {
        if !krate.files.iter().any(|file| room(&file.path, folder) == Some(name)) {
            complaints
                .push(format!("there is no room `{name}`: take it off the list in tests/tidy/rooms.rs"));
        }
    }
    for (file, room) in unused {
        complaints.push(format!("{file} no longer imports `{room}`: take the exception off the list"));
    }
    complaints
}

#[test]
fn a_planted_import_of_a_room_above_is_found() {
    let krate = planted(&[
        ("src/main.rs", "mod attic;\nmod cellar;\nmod shed;\nfn main() { attic::go() }\n"),
        ("src/attic.rs", "use crate::cellar::Coal;\npub struct Lamp;\n"),
        ("src/cellar/mod.rs", "mod coal;\npub use self::coal::Coal;\n"),
        ("src/cellar/coal.rs", "\nfn light() -> crate::attic::Lamp {}\npub struct Coal;\n"),
        ("src/shed.rs", ""),
    ]);
    let complaints = check(&krate, "src", &["attic", "cellar", "tower"], &[]);
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    let above = "src/cellar/coal.rs:2: the room `cellar` imports crate::attic::Lamp of the room `attic`";
    assert!(complaints[0].starts_with(above), "{complaints:?}");
    assert!(complaints[1].contains("`shed` has no place"), "{complaints:?}");
    assert!(complaints[2].contains("no room `tower`"), "{complaints:?}");

    let rooms = ["attic", "cellar", "shed"];
    assert_eq!(check(&krate, "src", &rooms, &[("src/cellar/coal.rs", "attic", "a reason")]), [""; 0]);
    let complaints = check(
        &krate,
        "src",
        &rooms[..],
        &[("src/cellar/coal.rs", "attic", "a reason"), ("src/shed.rs", "attic", "a reason")],
    );
    assert!(complaints.len() == 1 && complaints[0].contains("src/shed.rs no longer"), "{complaints:?}");
}
