"""The one path from rows to answers: stage, submit, poll, collect, merge. Plans and paces are pure; the rest is thin effects."""
