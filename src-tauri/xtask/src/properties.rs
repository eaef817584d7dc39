//! What peers send, made up: the property tests of every crate, with many more cases than a commit
//! has time for.

use anyhow::Result;

use crate::build;
use crate::run::shown;

/// Tests in modules of this name only compute: some tens of thousands of cases take a few minutes.
const QUICK: (&str, u32) = ("properties::", 20_000);
/// Tests in modules of this name write files in each case.
const ON_DISK: (&str, u32) = ("in_a_folder::", 10_000);

/// Runs them all.
pub(crate) fn many_cases() -> Result<()> {
    for (name, cases) in [QUICK, ON_DISK] {
        let mut tests = build::workspace("test");
        tests.args(["--lib", "--test", "socket", "--", name]);
        shown(tests.env("PROPTEST_CASES", cases.to_string()))?;
    }
    let (name, cases) = QUICK;
    let mut inside = build::in_sessions("test");
    inside.args(["--", name]);
    shown(inside.env("PROPTEST_CASES", cases.to_string()))
}
