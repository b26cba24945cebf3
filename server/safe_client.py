"""The one way to an address that somebody else named: jwks_uri, jku, subscriptions, import."""
