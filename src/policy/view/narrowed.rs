//! What narrows: agents by their ids, tools by their names. What no list is about is allowed, because what an agent runs is
//! judged by itself.
//!
//! 1. A denial of any entry that holds for the caller wins.
//! 2. Otherwise `unrestricted` on any of them allows.
//! 3. Otherwise the lists of the user's own entry and of the groups count, and the role's where no group has one: if there
//!    is any, what none of them names is denied.

use super::super::pattern::Models;
use super::super::rules::{AGENTS, List, Lists, Rules};
use super::super::words::{RuleId, Tool};
use super::{Judged, View, of_endpoint};

impl View<'_> {
    /// Judges an agent by its id, without what it runs: by the lists of the endpoint `agents`.
    pub(in crate::policy) fn judge_agent(&self, agent: &str) -> Judged<'_> {
        let matches = |models: &Models| models.matches(agent);
        self.judge_narrowed(agent_lists, None, matches, matches, self.snapshot.agents_rule())
    }

    /// Whether there can be an agent that the caller may use, by its id.
    pub(in crate::policy) fn judge_agents(&self) -> Judged<'_> {
        let (none, any) = (Models::is_everything, |models: &Models| !models.written().is_empty());
        self.judge_narrowed(agent_lists, None, none, any, self.snapshot.agents_rule())
    }

    /// Judges a tool. All tools of a server are allowed if none of them can be denied and each must be on a list, if there is
    /// a list.
    pub(in crate::policy) fn judge_tool(&self, tool: &Tool) -> Judged<'_> {
        let lists = all_tools;
        let (global, open) = (self.snapshot.tools_deny(), self.snapshot.tools_rule());
        match tool {
            Tool::Named(name) => {
                let matches = |models: &Models| models.matches(name);
                self.judge_narrowed(lists, global, matches, matches, open)
            }
            Tool::Ending(end) => {
                let (some, all) = (|models: &Models| models.some_end(end), |models: &Models| models.all_end(end));
                self.judge_narrowed(lists, global, some, all, open)
            }
        }
    }

    /// Judges by lists that narrow what is allowed anyway. A denial of any entry wins; `unrestricted` lifts all other lists;
    /// then the user's own list and those of the groups count, or the role's where no group has one. Where none of them has
    /// any, `open` allows.
    fn judge_narrowed<'v>(
        &'v self,
        lists: impl Fn(&'v Rules) -> Option<&'v Lists>,
        global_deny: Option<&'v List>,
        denies: impl Fn(&Models) -> bool,
        allows: impl Fn(&Models) -> bool,
        open: &'v RuleId,
    ) -> Judged<'v> {
        let denied = self.entries().filter_map(|rules| lists(rules)?.deny.as_ref()).chain(global_deny);
        if let Some(list) = denied.into_iter().find(|list| denies(&list.models)) {
            return Judged::denied(&list.rule);
        }
        if let Some(rule) = self.unrestricted() {
            return Judged::allowed(rule);
        }
        let mut last = None;
        for list in self.narrowing(lists) {
            if allows(&list.models) {
                return Judged::allowed(&list.rule);
            }
            last = Some(list);
        }
        last.map_or_else(|| Judged::allowed(open), |list| Judged::denied(&list.rule))
    }

    /// The lists that narrow what is allowed anyway.
    fn narrowing<'v>(&'v self, lists: impl Fn(&'v Rules) -> Option<&'v Lists>) -> impl Iterator<Item = &'v List> {
        let allow = move |rules: &'v Rules| lists(rules)?.allow.as_ref();
        let role = self.role.filter(|_| !self.groups.iter().any(|group| allow(group).is_some()));
        self.users().chain(self.groups.iter()).chain(role).filter_map(allow)
    }

    /// The lists of tools that count for the caller.
    pub(in crate::policy) fn allowed_tools(&self) -> impl Iterator<Item = &List> {
        let unrestricted = self.unrestricted().is_some();
        self.narrowing(all_tools).filter(move |_| !unrestricted)
    }

    /// The lists of agents that count for the caller.
    pub(in crate::policy) fn allowed_agents(&self) -> impl Iterator<Item = &List> {
        let unrestricted = self.unrestricted().is_some();
        self.narrowing(agent_lists).filter(move |_| !unrestricted)
    }

    /// Whether any tool could be denied to the caller.
    pub(in crate::policy) fn limits_tools(&self) -> bool {
        let unrestricted = self.unrestricted().is_some();
        let limits = |lists: &Lists| lists.deny.is_some() || (lists.allow.is_some() && !unrestricted);
        self.snapshot.tools_deny().is_some() || self.entries().any(|rules| limits(&rules.tools))
    }
}

fn all_tools(rules: &Rules) -> Option<&Lists> {
    Some(&rules.tools)
}

fn agent_lists(rules: &Rules) -> Option<&Lists> {
    of_endpoint(rules, AGENTS)
}
