"""Who samples: each module turns a panorama and one recipe (or view) into one picture."""
