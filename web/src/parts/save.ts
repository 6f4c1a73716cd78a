// SPDX-License-Identifier: MIT
/** Has the browser save what is in memory here. */
export function save(name: string, data: BlobPart, type: string): void {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob([data], { type }));
  anchor.download = name;
  anchor.click();
  URL.revokeObjectURL(anchor.href);
}
