"""The wire formats of OpenAI and Anthropic: requests read, answers and refusals written."""
