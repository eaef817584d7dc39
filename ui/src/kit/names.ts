/** 4 to 64 letters, digits, dots, hyphens and underscores that begin and end with none of `.-`. */
const SESSION_NAME = /^\w[\w.-]{2,62}\w$/;

export const isSessionName = (name: string) => SESSION_NAME.test(name);

/** Up to 64 characters without a slash. */
const FOLDER_NAME = /^(?!\.{1,2}$)[\w.][\w.\- ]{0,63}$/u;

export const isFolderName = (name: string) => FOLDER_NAME.test(name);
