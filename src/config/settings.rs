//! The table of settings: names, defaults, and what each does.

use clap::Arg;

/// One setting, by its three names.
#[derive(Debug)]
pub struct Setting {
    /// The key in the file.
    pub name: &'static str,
    /// The flag, without its dashes.
    pub flag: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// What holds if nobody says anything.
    pub default: &'static str,
    /// What its value looks like, for the help.
    pub form: &'static str,
    /// What it does, as sentences.
    pub about: &'static str,
    /// Whether only the server reads it; other commands do not offer its flag.
    pub serving: bool,
}

/// Every setting, in the order of the documentation.
pub static SETTINGS: &[Setting] = &[
    Setting {
        name: "data",
        flag: "data",
        variable: "COUNTERSIGN_DATA",
        default: "data",
        form: "DIR",
        about: "Folder of the embedded database and of the artifacts. It is made if it is not there.",
        serving: false,
    },
    Setting {
        name: "database",
        flag: "database",
        variable: "COUNTERSIGN_DATABASE",
        default: "",
        form: "URL",
        about: "PostgreSQL address, postgres://USER:PASSWORD@HOST/NAME, instead of the embedded database.",
        serving: false,
    },
    Setting {
        name: "database_connections",
        flag: "database-connections",
        variable: "COUNTERSIGN_DATABASE_CONNECTIONS",
        default: "10",
        form: "N",
        about: "How many connections to PostgreSQL are opened at most. The embedded database does not need it.",
        serving: false,
    },
    Setting {
        name: "policies",
        flag: "policies",
        variable: "COUNTERSIGN_POLICIES",
        default: "",
        form: "FILE",
        about: "Cedar policy file that decides who may do what, instead of the built-in one.",
        serving: false,
    },
    Setting {
        name: "listen",
        flag: "listen",
        variable: "COUNTERSIGN_LISTEN",
        default: "127.0.0.1:7070",
        form: "ADDR",
        about: "Address and port to listen on.",
        serving: true,
    },
    Setting {
        name: "secure_cookies",
        flag: "secure-cookies",
        variable: "COUNTERSIGN_SECURE_COOKIES",
        default: "false",
        form: "BOOL",
        about: "Mark cookies Secure. Switch it on wherever the product is reached over HTTPS.",
        serving: true,
    },
    Setting {
        name: "max_upload_mib",
        flag: "max-upload-mib",
        variable: "COUNTERSIGN_MAX_UPLOAD_MIB",
        default: "64",
        form: "MIB",
        about: "Largest artifact or import file that is taken, in MiB.",
        serving: true,
    },
    Setting {
        name: "p50_amber_ms",
        flag: "p50-amber-ms",
        variable: "COUNTERSIGN_P50_AMBER_MS",
        default: "200",
        form: "MS",
        about: "Median duration of a deployment's requests above which its figure turns amber.",
        serving: true,
    },
    Setting {
        name: "p95_red_ms",
        flag: "p95-red-ms",
        variable: "COUNTERSIGN_P95_RED_MS",
        default: "500",
        form: "MS",
        about: "P95 of a deployment's requests above which its figure turns red.",
        serving: true,
    },
    Setting {
        name: "errors_red_percent",
        flag: "errors-red-percent",
        variable: "COUNTERSIGN_ERRORS_RED_PERCENT",
        default: "1",
        form: "PERCENT",
        about: "Share of a deployment's requests that fail above which its error rate turns red.",
        serving: true,
    },
    Setting {
        name: "data_folders",
        flag: "data-folders",
        variable: "COUNTERSIGN_DATA_FOLDERS",
        default: "",
        form: "DIRS",
        about: "Folders of this machine, separated by colons, whose files data sets may refer to. Without any, data sets are uploaded.",
        serving: true,
    },
    Setting {
        name: "training_programs",
        flag: "training-programs",
        variable: "COUNTERSIGN_TRAINING_PROGRAMS",
        default: "",
        form: "FILES",
        about: "Programs, by their absolute paths separated by colons, that training jobs may start. Without any, only the builtin training runs.",
        serving: true,
    },
    Setting {
        name: "training_jobs",
        flag: "training-jobs",
        variable: "COUNTERSIGN_TRAINING_JOBS",
        default: "1",
        form: "N",
        about: "How many training jobs this server carries out at once; 0 for none.",
        serving: true,
    },
    Setting {
        name: "training_minutes",
        flag: "training-minutes",
        variable: "COUNTERSIGN_TRAINING_MINUTES",
        default: "60",
        form: "MINUTES",
        about: "How long a training job may take at most.",
        serving: true,
    },
    Setting {
        name: "training_memory_mib",
        flag: "training-memory-mib",
        variable: "COUNTERSIGN_TRAINING_MEMORY_MIB",
        default: "2048",
        form: "MIB",
        about: "How much memory the processes of a training job may have together at most, in MiB.",
        serving: true,
    },
    Setting {
        name: "log_format",
        flag: "log-format",
        variable: "COUNTERSIGN_LOG_FORMAT",
        default: "text",
        form: "text|json",
        about: "Whether the log, on standard error, is written as text or as JSON lines.",
        serving: true,
    },
    Setting {
        name: "log_filter",
        flag: "log-filter",
        variable: "COUNTERSIGN_LOG_FILTER",
        default: "info",
        form: "FILTER",
        about: "What is logged: a level, or levels by module, for example info,countersign=debug.",
        serving: true,
    },
    Setting {
        name: "production_aliases",
        flag: "production-aliases",
        variable: "COUNTERSIGN_PRODUCTION_ALIASES",
        default: "default,production,prod,champion",
        form: "NAMES",
        about: "Aliases of MLflow clients, separated by commas, that mean production: they only name approved versions.",
        serving: true,
    },
    Setting {
        name: "demo",
        flag: "demo",
        variable: "COUNTERSIGN_DEMO",
        default: "false",
        form: "BOOL",
        about: "Fill an empty database with demo data, and show the demo accounts on the sign-in page. Never in production.",
        serving: true,
    },
];

impl Setting {
    pub(super) fn is_switch(&self) -> bool {
        self.form == "BOOL"
    }

    pub(super) fn arg(&self, offered: bool) -> Arg {
        let arg = Arg::new(self.name)
            .long(self.flag)
            .env(self.variable)
            .hide_env_values(true)
            .value_name(self.form)
            .help(self.help())
            .help_heading("Settings")
            .hide(!offered);
        if self.is_switch() {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_parser(["true", "false"])
        } else {
            arg
        }
    }

    fn help(&self) -> String {
        if self.default.is_empty() {
            self.about.to_owned()
        } else {
            format!("{} [default: {}]", self.about, self.default)
        }
    }
}
