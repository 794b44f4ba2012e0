"""Small programs that keep the repository: releases, benchmarks, towers for trials."""
