/** What the person at the page can fix. Its text is one line: which file, what is wrong, what to do. */
export class UserError extends Error {}
