"""The pages on which a person consents or types a secret."""
