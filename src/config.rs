//! Configuration: flags before environment before file before defaults.
