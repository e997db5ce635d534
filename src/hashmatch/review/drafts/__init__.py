"""Drafts of reports that a person may file, made of confirmed cases. Nothing here submits one."""
