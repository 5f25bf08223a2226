-- A ledger of version 1 with two clips, as `sqlite3 merr.sqlite .dump` wrote it; its two pragmas are no part of a dump.
PRAGMA application_id=1296388690;
PRAGMA user_version=1;
BEGIN TRANSACTION;
CREATE TABLE artifacts (
    clip_id TEXT NOT NULL, stage TEXT NOT NULL, name TEXT NOT NULL,
    sha256 TEXT NOT NULL, suffix TEXT NOT NULL, num_bytes INTEGER NOT NULL,
    PRIMARY KEY (clip_id, stage, name),
    FOREIGN KEY (clip_id, stage) REFERENCES runs ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE builders (
    id INTEGER PRIMARY KEY, session INTEGER NOT NULL, plan_sha256 TEXT NOT NULL, plan TEXT NOT NULL,
    host TEXT NOT NULL, pid INTEGER NOT NULL, process_start TEXT NOT NULL,
    engine TEXT NOT NULL, workers INTEGER NOT NULL,
    began_at TEXT NOT NULL, heartbeat REAL NOT NULL, ended_at TEXT, how_ended TEXT, phase TEXT
);
CREATE TABLE claims (
    clip_id TEXT NOT NULL, stage TEXT NOT NULL, builder INTEGER NOT NULL REFERENCES builders ON DELETE CASCADE,
    claimed_at TEXT NOT NULL,
    PRIMARY KEY (clip_id, stage)
) WITHOUT ROWID;
CREATE TABLE clips (
    clip_id TEXT PRIMARY KEY, path, sha256 TEXT, frame_count INTEGER, duration_seconds REAL, fps REAL,
    width INTEGER, height INTEGER, has_audio INTEGER, source TEXT, person TEXT,
    given_label TEXT, given_subtitle TEXT, subtitle_source TEXT, subtitle_language TEXT, given_split TEXT,
    stated_frame_count INTEGER,
    here INTEGER NOT NULL DEFAULT 1, why_left TEXT
) WITHOUT ROWID;
INSERT INTO "clips" VALUES('a','/videos/a.mp4','0000000000000000000000000000000000000000000000000000000000000000',75,3.0,25.0,320,240,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL);
INSERT INTO "clips" VALUES('b','/videos/b.mp4','0000000000000000000000000000000000000000000000000000000000000000',75,3.0,25.0,320,240,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL);
CREATE TABLE failures (
    id INTEGER PRIMARY KEY, clip_id TEXT NOT NULL REFERENCES clips ON DELETE CASCADE, stage TEXT NOT NULL,
    fingerprint TEXT NOT NULL, reason TEXT NOT NULL, seconds REAL NOT NULL, failed_at TEXT NOT NULL
);
CREATE TABLE fields (
    clip_id TEXT NOT NULL, stage TEXT NOT NULL, name TEXT NOT NULL, language TEXT NOT NULL,
    value TEXT, why_missing TEXT, provenance TEXT NOT NULL,
    PRIMARY KEY (clip_id, stage, name, language),
    FOREIGN KEY (clip_id, stage) REFERENCES runs ON DELETE CASCADE,
    CHECK ((value IS NULL) <> (why_missing IS NULL))
) WITHOUT ROWID;
INSERT INTO "fields" VALUES('a','audio_tone','audio_tone','en','"a loud voice"',NULL,'{"annotator":"rules","label_shown":false,"made_at":"2026-01-02T03:04:06+00:00","model":"rules 1","prompt_sha256":null,"seconds":0.01,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('a','coarse_caption','coarse_caption','en','"This person in the video smiles."',NULL,'{"annotator":"rules","label_shown":false,"made_at":"2026-01-02T03:04:06+00:00","model":"rules 1","prompt_sha256":null,"seconds":0.01,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('a','evidence','tone','','{"phrase":"loud voice","words":{"loud":"-12 dB"}}',NULL,'{"annotator":"measured","label_shown":false,"made_at":"2026-01-02T03:04:05+00:00","model":"mediapipe_mesh 1","prompt_sha256":null,"seconds":1.5,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('a','fine_caption','fine_caption','en','"The cheeks are raised. The person is happy."',NULL,'{"annotator":"openai","label_shown":true,"made_at":"2026-01-02T03:04:07+00:00","model":"some-model","prompt_sha256":"abababababababababababababababababababababababababababababababab","seconds":2.0,"tokens_in":120,"tokens_out":30}');
INSERT INTO "fields" VALUES('a','peak','peak','','{"face_hash":null,"frame_index":12,"pts_seconds":0.48,"rule":"all","score":5.0,"units":{"AU06":2.0,"AU12":3.0},"why":"largest sum"}',NULL,'{"annotator":"measured","label_shown":false,"made_at":"2026-01-02T03:04:05+00:00","model":"mediapipe_mesh 1","prompt_sha256":null,"seconds":1.5,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('a','pseudo_label','label','','{"candidates":{"happy":2.5},"confidence":0.9,"label":"happy","score":2.5,"source":"rules","strength":"strong","table":"merr","units":{"AU06":2.0,"AU12":3.0}}',NULL,'{"annotator":"rules","label_shown":false,"made_at":"2026-01-02T03:04:06+00:00","model":"rules 1","prompt_sha256":null,"seconds":0.01,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('a','splits','split','','"train"',NULL,'{"annotator":"rules","label_shown":false,"made_at":"2026-01-02T03:04:06+00:00","model":"rules 1","prompt_sha256":null,"seconds":0.01,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('a','subtitle','subtitle','','{"language":"en","source":"given","text":"What a nice day"}',NULL,'{"annotator":"measured","label_shown":false,"made_at":"2026-01-02T03:04:05+00:00","model":"mediapipe_mesh 1","prompt_sha256":null,"seconds":1.5,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('a','visual_expression','visual_expression','en','["eyes widened","mouth open"]',NULL,'{"annotator":"rules","label_shown":false,"made_at":"2026-01-02T03:04:06+00:00","model":"rules 1","prompt_sha256":null,"seconds":0.01,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('b','audio_tone','audio_tone','en','"a loud voice"',NULL,'{"annotator":"rules","label_shown":false,"made_at":"2026-01-02T03:04:06+00:00","model":"rules 1","prompt_sha256":null,"seconds":0.01,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('b','coarse_caption','coarse_caption','en','"This person in the video smiles."',NULL,'{"annotator":"rules","label_shown":false,"made_at":"2026-01-02T03:04:06+00:00","model":"rules 1","prompt_sha256":null,"seconds":0.01,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('b','evidence','tone','','{"phrase":"loud voice","words":{"loud":"-12 dB"}}',NULL,'{"annotator":"measured","label_shown":false,"made_at":"2026-01-02T03:04:05+00:00","model":"mediapipe_mesh 1","prompt_sha256":null,"seconds":1.5,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('b','fine_caption','fine_caption','en','"The cheeks are raised. The person is happy."',NULL,'{"annotator":"openai","label_shown":true,"made_at":"2026-01-02T03:04:07+00:00","model":"some-model","prompt_sha256":"abababababababababababababababababababababababababababababababab","seconds":2.0,"tokens_in":120,"tokens_out":30}');
INSERT INTO "fields" VALUES('b','peak','peak','','{"face_hash":null,"frame_index":12,"pts_seconds":0.48,"rule":"all","score":5.0,"units":{"AU06":2.0,"AU12":3.0},"why":"largest sum"}',NULL,'{"annotator":"measured","label_shown":false,"made_at":"2026-01-02T03:04:05+00:00","model":"mediapipe_mesh 1","prompt_sha256":null,"seconds":1.5,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('b','pseudo_label','label','','{"candidates":{"happy":2.5},"confidence":0.9,"label":"sad","score":2.5,"source":"rules","strength":"strong","table":"merr","units":{"AU06":2.0,"AU12":3.0}}',NULL,'{"annotator":"rules","label_shown":false,"made_at":"2026-01-02T03:04:06+00:00","model":"rules 1","prompt_sha256":null,"seconds":0.01,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('b','splits','split','','"test"',NULL,'{"annotator":"rules","label_shown":false,"made_at":"2026-01-02T03:04:06+00:00","model":"rules 1","prompt_sha256":null,"seconds":0.01,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('b','subtitle','subtitle','','{"language":"en","source":"given","text":"What a nice day"}',NULL,'{"annotator":"measured","label_shown":false,"made_at":"2026-01-02T03:04:05+00:00","model":"mediapipe_mesh 1","prompt_sha256":null,"seconds":1.5,"tokens_in":null,"tokens_out":null}');
INSERT INTO "fields" VALUES('b','visual_expression','visual_expression','en','["eyes widened","mouth open"]',NULL,'{"annotator":"rules","label_shown":false,"made_at":"2026-01-02T03:04:06+00:00","model":"rules 1","prompt_sha256":null,"seconds":0.01,"tokens_in":null,"tokens_out":null}');
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
    clip_id TEXT NOT NULL REFERENCES clips ON DELETE CASCADE, stage TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('done', 'dropped', 'failed')),
    fingerprint TEXT NOT NULL, output_sha256 TEXT, reason TEXT, scope TEXT CHECK (scope IN ('all', 'fine')),
    seconds REAL NOT NULL, finished_at TEXT NOT NULL, attempts INTEGER NOT NULL,
    current INTEGER NOT NULL DEFAULT 1, session INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (clip_id, stage)
) WITHOUT ROWID;
INSERT INTO "runs" VALUES('a','audio_tone','done','print of audio_tone','ae0a823b32c6184e1bd1e3895bbdd9e6ca533d41eb1e0c5f02a39c11c17db6be',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('a','coarse_caption','done','print of coarse_caption','e95f81edf6e6bb436a70656c92ca2db9fdbcac4f516e713453276534e3a258ba',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('a','evidence','done','print of evidence','b70cd566af16e232712d33317c01842a26bb3a79d982dadf1297a37a828ff045',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('a','fine_caption','done','print of fine_caption','48a908abdc99bbf030b11d5de4e792157b14ca544b9676bda96f539e37ed6ab5',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('a','peak','done','print of peak','ca07cfc42b85539f921039c3087cb66a8a17851021bcd28e0563531d9267700d',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('a','pseudo_label','done','print of pseudo_label','af63dd1da6d4c2efa537de229f5318409e4c974ce3ae37846b32d07f32cb9e39',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('a','splits','done','print of splits','78925774dbbeeae9e60026d0a20d176fb796d5caa3fa2abeaae7264aa3ffe816',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('a','subtitle','done','print of subtitle','99dbb1bc3cf9e58a70ffa9f1bb9cd292b666b7000467f8dff74fd08bf97be8bf',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('a','visual_expression','done','print of visual_expression','32b2434f300aa76650bc5679de069bf47e33a38019cbcedf3746736bbc80bf65',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('b','audio_tone','done','print of audio_tone','ae0a823b32c6184e1bd1e3895bbdd9e6ca533d41eb1e0c5f02a39c11c17db6be',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('b','coarse_caption','done','print of coarse_caption','e95f81edf6e6bb436a70656c92ca2db9fdbcac4f516e713453276534e3a258ba',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('b','evidence','done','print of evidence','b70cd566af16e232712d33317c01842a26bb3a79d982dadf1297a37a828ff045',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('b','fine_caption','done','print of fine_caption','48a908abdc99bbf030b11d5de4e792157b14ca544b9676bda96f539e37ed6ab5',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('b','peak','done','print of peak','ca07cfc42b85539f921039c3087cb66a8a17851021bcd28e0563531d9267700d',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('b','pseudo_label','done','print of pseudo_label','7fb5d14252ed8f8d63f142049ce64a654d1c1ef179731b7a01ca53ca22d30679',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('b','splits','done','print of splits','710f69513f2986b2aea19e9499230a4495b607e709138c5d170126e8c68f3ea0',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('b','subtitle','done','print of subtitle','99dbb1bc3cf9e58a70ffa9f1bb9cd292b666b7000467f8dff74fd08bf97be8bf',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
INSERT INTO "runs" VALUES('b','visual_expression','done','print of visual_expression','32b2434f300aa76650bc5679de069bf47e33a38019cbcedf3746736bbc80bf65',NULL,NULL,0.5,'2026-01-02T03:04:08+00:00',1,1,0);
CREATE TABLE stages (
    name TEXT PRIMARY KEY, position INTEGER NOT NULL, needs TEXT NOT NULL, pool TEXT NOT NULL, version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX runs_by_stage ON runs (stage, current, status);
CREATE INDEX failures_by_clip ON failures (clip_id, stage);
COMMIT;
