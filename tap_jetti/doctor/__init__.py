"""The command ``jetti doctor``: what this account's server does, where its documentation leaves it open."""
