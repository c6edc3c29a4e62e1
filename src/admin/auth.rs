//! Who calls, and what they may.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Viewer,
    Operator,
    Admin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Read,
    Operate,
    RollBack,
    Administer,
}

#[derive(Clone, Debug)]
pub struct Caller {
    pub name: String,
    pub role: Role,
    pub from: Option<String>,
}

impl Caller {
    pub fn may(&self, action: Action) -> bool {
        match self.role {
            Role::Viewer => action == Action::Read,
            Role::Operator => action != Action::Administer,
            Role::Admin => true,
        }
    }
}
