//! Sets of well-known fields: one question instead of many.

use crate::head::Head;
use crate::known_field::KnownField;

/// Well-known fields. [`KnownField::Other`] is in none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(u128);

impl FieldSet {
    /// No fields.
    pub const EMPTY: FieldSet = FieldSet(0);

    /// These fields.
    pub const fn of(fields: &[KnownField]) -> FieldSet {
        let mut set = FieldSet::EMPTY;
        let mut rest = fields;
        while let [field, others @ ..] = rest {
            set = set.with(*field);
            rest = others;
        }
        set
    }

    /// Whether the field is in it.
    #[inline]
    pub const fn has(self, field: KnownField) -> bool {
        self.0 & field.bit() != 0
    }

    /// This set and the field.
    #[inline]
    pub const fn with(self, field: KnownField) -> FieldSet {
        match field {
            KnownField::Other => self,
            field => FieldSet(self.0 | field.bit()),
        }
    }

    /// The fields of either set.
    #[inline]
    pub const fn and(self, other: FieldSet) -> FieldSet {
        FieldSet(self.0 | other.0)
    }

    /// The fields of this set that are not in the other.
    #[inline]
    pub const fn without(self, other: FieldSet) -> FieldSet {
        FieldSet(self.0 & !other.0)
    }

    /// Whether no field is in it.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Head {
    /// The well-known fields that are there.
    #[inline]
    pub fn known_fields(&self) -> FieldSet {
        FieldSet(self.present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_never_the_unknown() {
        let set = FieldSet::of(&[KnownField::Host, KnownField::Via, KnownField::Other]);
        let has = |set: FieldSet| KnownField::ALL.iter().filter(|field| set.has(**field)).count();
        assert_eq!((has(set), set.has(KnownField::Host), set.has(KnownField::Other)), (2, true, false));
        assert_eq!(has(set.with(KnownField::Te).and(FieldSet::of(&[KnownField::Age, KnownField::Te]))), 4);
        assert_eq!(set.without(FieldSet::of(&[KnownField::Host])), FieldSet::of(&[KnownField::Via]));
        assert!(FieldSet::EMPTY.is_empty() && !set.is_empty());
    }
}
