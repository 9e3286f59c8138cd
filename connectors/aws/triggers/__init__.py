"""What triggers Lambda functions: mappings, rules, schedules, notifications. Each is one trigger of a migration."""
