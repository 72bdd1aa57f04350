"""Role models on Qwen2-VL: one base, an adapter a role, and a head that finds moments in time."""
