"""Coming from Cloudflare: the queues of a wrangler file, written as queues declared here."""
