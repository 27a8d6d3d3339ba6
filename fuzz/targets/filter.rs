#![no_main]

use hookswitch_core::filter::{EventFilter, Own};
use hookswitch_model::{AccountId, ExtensionId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let own = Own { account: AccountId::new(1), extension: ExtensionId::new(2) };
    for text in [text.to_owned(), format!("/restapi/v1.0/account/~/telephony/sessions?{text}")] {
        match EventFilter::parse(&text, own) {
            // What is shown is read as the same.
            Ok(filter) => assert_eq!(EventFilter::parse(&filter.to_string(), own), Ok(filter)),
            Err(error) => assert!(!error.to_string().is_empty() && error.code().starts_with("SUB-")),
        }
    }
});
