"""Meta-World (1910.10897), a manipulation benchmark in MuJoCo, from pictures and words. See docs/metaworld.md."""
