"""The edge: each module touches one foreign system and knows no other."""
