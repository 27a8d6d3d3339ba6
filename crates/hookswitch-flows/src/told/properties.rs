//! Properties of all that a switch may tell, tried with the stories of the other tests.

use std::collections::BTreeMap;

use hookswitch_model::{Event, TelephonySessionId};

use crate::ladder::{by_time, lines, written};

/// The stories in the sources of tests: those that begin with a line that holds `begins`. Of the lines of a
/// test, `is_event` tells the events of a story.
pub fn stories_of(
    sources: &[&str],
    constants: &BTreeMap<&str, &str>,
    is_event: fn(&str) -> bool,
    begins: &str,
) -> Vec<String> {
    let mut stories = Vec::new();
    for source in sources {
        // A story stands between quotes, and what comes before it in the same test as names of constants.
        for test in source.split("#[test]").skip(1) {
            let mut story = String::new();
            let body = test.split("\n}").next().unwrap_or_default();
            for line in body.lines() {
                let line = line.trim();
                if is_event(line) {
                    story.push_str(line);
                    story.push('\n');
                    continue;
                }
                let words = line.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
                words.filter_map(|word| constants.get(word)).for_each(|constant| story.push_str(constant));
            }
            if lines(&story).next().is_some_and(|line| line.contains(begins)) {
                stories.push(story);
            }
        }
    }
    stories
}

/// Returns what is told of some sessions.
pub fn told(events: &[Event], session: &[TelephonySessionId]) -> Vec<String> {
    let own: Vec<Event> =
        events.iter().filter(|event| session.contains(&event.session.id)).cloned().collect();
    by_time(written(&own))
}

/// The properties of what a switch tells, of whose stories there are a type, a way through the product, and
/// a list.
#[macro_export]
macro_rules! properties {
    ($story:ident, $run:ident, $stories:ident) => {
        use hookswitch_core::directory::Directory;
        use hookswitch_model::TelephonySessionId;
        use proptest::prelude::*;

        use $crate::ladder::{ACCOUNT, by_time, written};
        use $crate::told::StoryResult;
        use $crate::told::properties::told;

        #[test]
        fn the_stories_of_the_tests_are_found() {
            assert!($stories().len() > 30, "{}", $stories().len());
        }

        proptest! {
            #![proptest_config(ProptestConfig::with_cases($crate::size(48, 2000) as u32))]

            #[test]
            fn two_calls_beside_each_other_tell_what_each_tells_alone(
                one in any::<prop::sample::Index>(),
                other in any::<prop::sample::Index>(),
                shift in 0..3_000_000_i64,
            ) {
                let stories = $stories();
                let (one, other) = (&stories[one.index(stories.len())], &stories[other.index(stories.len())]);
                let first = $story::in_world(one, 0);
                let mut second = $story::in_world(other, 1);
                for told in &mut second.told {
                    told.at_micros += shift;
                }
                let directory = Directory::built_in(ACCOUNT);
                let alone = [$run(&directory, &first.told, false), $run(&directory, &second.told, false)];
                let mut both: Vec<StoryResult> = first.told.iter().chain(&second.told).cloned().collect();
                both.sort_by_key(|told| told.at_micros);
                let together = $run(&directory, &both, false);
                for alone in alone {
                    let sessions: Vec<TelephonySessionId> = alone.iter().map(|event| event.session.id).collect();
                    prop_assert_eq!(told(&together, &sessions), by_time(written(&alone)));
                }
                prop_assert_eq!($crate::told::in_world("101", 1), "201");
            }

            #[test]
            fn messages_that_are_lost_break_nothing(
                story in any::<prop::sample::Index>(),
                lost in proptest::collection::vec(any::<bool>(), 200),
            ) {
                let stories = $stories();
                let story = $story::in_world(&stories[story.index(stories.len())], 0);
                let kept: Vec<StoryResult> = story
                    .told
                    .iter()
                    .zip(lost.iter().cycle())
                    .filter(|(_, lost)| !**lost)
                    .map(|(told, _)| told.clone())
                    .collect();
                $run(&Directory::built_in(ACCOUNT), &kept, false); // which checks what must hold
            }

            #[test]
            fn messages_in_any_order_break_nothing(
                story in any::<prop::sample::Index>(),
                order in Just((0..200_usize).collect::<Vec<_>>()).prop_shuffle(),
            ) {
                let stories = $stories();
                let story = $story::in_world(&stories[story.index(stories.len())], 0);
                let count = story.told.len();
                let shuffled: Vec<StoryResult> = order
                    .iter()
                    .filter(|&&place| place < count)
                    .enumerate()
                    .map(|(at, &place)| StoryResult { at_micros: story.told[at].at_micros, ..story.told[place].clone() })
                    .collect();
                $run(&Directory::built_in(ACCOUNT), &shuffled, false);
            }

            #[test]
            fn bytes_that_are_changed_break_nothing(
                story in any::<prop::sample::Index>(),
                changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..40),
            ) {
                let stories = $stories();
                let mut story = $story::in_world(&stories[story.index(stories.len())], 0);
                for (message, place, byte) in changes {
                    let at = message.index(story.told.len());
                    let message = &mut story.told[at].message;
                    let place = place.index(message.len());
                    // Half of the changes name another channel, or another number.
                    message[place] = if message[place].is_ascii_digit() { b'0' + byte % 10 } else { byte };
                }
                $run(&Directory::built_in(ACCOUNT), &story.told, false);
            }
        }
    };
}
