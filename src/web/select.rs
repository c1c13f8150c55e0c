//! A choice of a filter bar: what can be chosen, and what is.

/// A `<select>` of a filter bar or a form; `{% call m::select(one) %}{% endcall %}` draws it.
#[derive(Debug, Clone)]
pub struct Select {
    /// The parameter.
    pub name: &'static str,
    /// What stands above it.
    pub label: &'static str,
    /// What stands for no choice; none if one must be made.
    pub none: Option<&'static str>,
    /// The choices.
    pub options: Vec<Choice>,
}

/// One choice.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What is shown.
    pub label: String,
    /// Whether it is the one chosen.
    pub chosen: bool,
}

impl Select {
    /// A filter that may be left open, over the words of an enumeration or the rows of a list.
    #[must_use]
    pub fn filter<T, V: ToString, L: Into<String>>(
        name: &'static str,
        label: &'static str,
        options: impl IntoIterator<Item = T>,
        chosen: Option<impl ToString>,
        read: impl Fn(T) -> (V, L),
    ) -> Self {
        let chosen = chosen.map(|one| one.to_string());
        let options = options
            .into_iter()
            .map(|one| {
                let (value, label) = read(one);
                let value = value.to_string();
                Choice { chosen: chosen.as_ref() == Some(&value), value, label: label.into() }
            })
            .collect();
        Self { name, label, none: Some("All"), options }
    }

    /// The same for a form, where one must be chosen.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.none = None;
        self
    }
}
