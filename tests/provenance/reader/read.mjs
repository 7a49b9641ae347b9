// Reads the Content Credentials of .mp4 and .mov files and prints one line of JSON each.
// An independent reader: @trustnxt/c2pa-ts shares no code with the library that signs.

import * as fs from "node:fs/promises";
import { BMFF } from "@trustnxt/c2pa-ts/asset";
import { SuperBox } from "@trustnxt/c2pa-ts/jumbf";
import { ManifestStore } from "@trustnxt/c2pa-ts/manifest";

// It reads HEIC files; the boxes of .mp4 and .mov are built alike.
for (const brand of ["isom", "qt  "]) BMFF.canReadBrands.add(brand);

async function read(path) {
  const asset = new BMFF(await fs.readFile(path));
  const store = asset.getManifestJUMBF();
  if (!store) return { found: false };
  const result = await ManifestStore.read(SuperBox.fromBuffer(store)).validate(asset);
  const failures = result.statusEntries.filter((entry) => !entry.success).map((entry) => entry.code);
  return { found: true, valid: result.isValid, failures };
}

for (const path of process.argv.slice(2)) {
  const answer = await read(path).catch((error) => ({ found: true, valid: false, failures: [String(error)] }));
  console.log(JSON.stringify(answer));
}
