"""The tokens of providers, by the formats that the providers publish. Data.

Rule 1: a pattern is as long as the published token, or open at its end where tokens have grown.
Rule 2: a prefix that could be the end of an ordinary word needs a boundary before it.
"""

from __future__ import annotations

from adapters.redaction.rule import Rule

_HEX = tuple("0123456789abcdef")

PROVIDER_RULES = (
    # Clouds
    Rule(
        "aws-access-key-id", ("akia", "asia", "abia", "acca"), r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}"
    ),
    Rule("aws-bedrock-key", ("absk",), r"ABSK[A-Za-z0-9+/]{100,}={0,2}"),
    Rule("aws-bedrock-key", ("bedrock-api-key-",), r"bedrock-api-key-[A-Za-z0-9+/=]{40,}"),
    Rule("google-api-key", ("aiza",), r"AIza[A-Za-z0-9_-]{35}"),
    Rule("google-api-key", ("aq.ab",), r"AQ\.Ab[A-Za-z0-9_-]{40,}"),
    Rule("google-client-secret", ("gocspx-",), r"GOCSPX-[A-Za-z0-9_-]{28}"),
    Rule("google-access-token", ("ya29.",), r"ya29\.[A-Za-z0-9_-]{20,}"),
    Rule("google-refresh-token", ("1//0",), r"1//0[A-Za-z0-9_-]{40,}", edge=True),
    Rule(
        "azure-client-secret", ("q~",), r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}", back=4
    ),
    Rule("azure-key", ("jqqj9",), r"[A-Za-z0-9]{52}JQQJ9[9D][A-Za-z0-9]{20,}", back=52),
    Rule("azure-devops-token", ("azdo",), r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}", back=76),
    Rule("alibaba-access-key-id", ("ltai",), r"LTAI[A-Za-z0-9]{17,21}", edge=True),
    Rule("digitalocean-token", ("dop_v1_", "doo_v1_", "dor_v1_"), r"do[opr]_v1_[0-9a-f]{64}"),
    Rule("cloudflare-token", ("cfk_", "cfut_", "cfat_"), r"cf(?:k|ut|at)_[A-Za-z0-9_-]{40,}"),
    Rule("cloudflare-origin-key", ("v1.0-",), r"v1\.0-[0-9a-f]{24}-[0-9a-f]{146}"),
    Rule("heroku-key", ("hrku-aa",), r"HRKU-AA[A-Za-z0-9_-]{58}"),
    Rule("fly-token", ("fo1_",), r"fo1_[A-Za-z0-9_-]{43}"),
    Rule("fly-token", ("fm1", "fm2"), r"fm(?:1[ar]|2)_[A-Za-z0-9+/=_-]{100,}"),
    Rule("netlify-token", ("nfp_",), r"nfp_[A-Za-z0-9]{36}"),
    Rule(
        "supabase-token", ("sbp_", "sb_secret_"), r"sb(?:p_[0-9a-f]{40}|_secret_[A-Za-z0-9_-]{22,})"
    ),
    Rule("planetscale-token", ("pscale_",), r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9._=-]{32,64}"),
    Rule("pulumi-token", ("pul-",), r"pul-[0-9a-f]{40}"),
    Rule(
        "terraform-token", (".atlasv1.",), r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}", back=14
    ),
    Rule("databricks-token", ("dapi", "dose"), r"(?:dapi|dose)[0-9a-f]{32}(?:-[0-9])?"),
    Rule("dynatrace-token", ("dt0c01.", "dt0s01."), r"dt0[cs]01\.[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    Rule("tailscale-key", ("tskey-",), r"tskey-[a-z]+-[A-Za-z0-9]+-[A-Za-z0-9]{16,}"),
    # Code, packages and their delivery
    Rule(
        "github-token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
        r"gh[oprsu]_[A-Za-z0-9_]{36,}(?:\.[A-Za-z0-9_-]+)*",
    ),
    Rule("github-fine-grained-token", ("github_pat_",), r"github_pat_[A-Za-z0-9_]{36,}"),
    Rule(
        "gitlab-token",
        tuple(
            f"gl{kind}-"
            for kind in (
                "pat",
                "dt",
                "rt",
                "rtr",
                "cbt",
                "ptt",
                "ft",
                "imt",
                "agent",
                "oas",
                "soat",
                "ffct",
                "wt",
            )
        ),
        r"gl(?:pat|dt|rtr?|cbt|ptt|ft|imt|agent|oas|soat|ffct|wt)-[A-Za-z0-9_-]{20,}"
        r"(?:\.[0-9a-z]{2,12}){0,2}",
    ),
    Rule("gitlab-runner-token", ("gr1348941",), r"GR1348941[A-Za-z0-9_-]{20}"),
    Rule("bitbucket-password", ("atbb",), r"ATBB[A-Za-z0-9]{32}"),
    Rule("atlassian-token", ("atatt3", "atctt3"), r"AT(?:A|C)TT3[A-Za-z0-9_=-]{60,}"),
    Rule("npm-token", ("npm_",), r"npm_[A-Za-z0-9]{36}"),
    Rule("pypi-token", ("pypi-age",), r"pypi-AgE[A-Za-z0-9_-]{50,}"),
    Rule("rubygems-key", ("rubygems_",), r"rubygems_[0-9a-f]{48}"),
    Rule("cargo-token", ("cio",), r"cio[A-Za-z0-9]{32}", edge=True),
    Rule("nuget-key", ("oy2",), r"oy2[a-z0-9]{43}", edge=True),
    Rule("clojars-token", ("clojars_",), r"CLOJARS_[0-9a-z]{60}"),
    Rule("docker-hub-token", ("dckr_pat_", "dckr_oat_"), r"dckr_[op]at_[A-Za-z0-9_-]{27,}"),
    Rule("artifactory-token", ("akcp",), r"AKCp[A-Za-z0-9]{69,}", edge=True),
    Rule("artifactory-token", ("cmvmdgtu",), r"cmVmdGtu[A-Za-z0-9]{56}", edge=True),
    Rule("circleci-token", ("ccipat_", "ccipprj_"), r"CCIP(?:AT|PRJ)_[A-Za-z0-9_]{40,}"),
    Rule("buildkite-token", ("bkua_",), r"bkua_[0-9a-f]{40}"),
    Rule("sonarqube-token", ("sqp_", "squ_", "sqa_"), r"sq[apu]_[0-9a-f]{40}"),
    Rule("octopus-key", ("api-",), r"API-[A-Z0-9]{26,32}", edge=True),
    Rule("postman-key", ("pmak-",), r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    Rule("launchdarkly-key", ("sdk-",), r"sdk-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    Rule("figma-token", ("figd_",), r"figd_[A-Za-z0-9_-]{40,}"),
    # Models and what runs them
    Rule(
        "openai-key",
        ("sk-proj-", "sk-svcacct-", "sk-admin-", "sk-none-"),
        r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{40,}",
    ),
    Rule("anthropic-key", ("sk-ant-",), r"sk-ant-[A-Za-z0-9_-]{24,}"),
    Rule("openrouter-key", ("sk-or-v1-",), r"sk-or-v1-[0-9a-f]{64}"),
    Rule("sk-key", ("sk-",), r"sk-[A-Za-z0-9]{32,}", edge=True),
    Rule("e2b-key", ("e2b_",), r"(?:sk_)?e2b_[0-9a-f]{40}"),
    Rule("huggingface-token", ("hf_",), r"hf_[A-Za-z0-9]{34,}", edge=True),
    Rule("huggingface-token", ("api_org_",), r"api_org_[A-Za-z]{34}"),
    Rule("replicate-token", ("r8_",), r"r8_[A-Za-z0-9]{37}"),
    Rule("groq-key", ("gsk_",), r"gsk_[A-Za-z0-9]{52}"),
    Rule("xai-key", ("xai-",), r"xai-[A-Za-z0-9]{80}"),
    Rule("perplexity-key", ("pplx-",), r"pplx-[A-Za-z0-9]{48}"),
    Rule("langsmith-key", ("lsv2_",), r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    Rule("pinecone-key", ("pcsk_",), r"pcsk_[A-Za-z0-9_]{50,}"),
    # Messages
    Rule(
        "slack-token",
        tuple(f"xox{kind}-" for kind in "abcdeoprs"),
        r"xox[a-eoprs]-[A-Za-z0-9-]{10,}",
    ),
    Rule("slack-token", ("xoxe.xox",), r"xoxe\.xox[bp]-[0-9]-[A-Za-z0-9]{40,}"),
    Rule("slack-token", ("xapp-", "xwfp-"), r"x(?:app|wfp)-[0-9]+-[A-Za-z0-9-]{16,}"),
    Rule(
        "slack-webhook",
        ("hooks.slack.com/",),
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/]{30,})",
    ),
    Rule(
        "discord-webhook",
        ("/api/webhooks/",),
        r"/api/webhooks/[0-9]{17,20}/([A-Za-z0-9_-]{60,})",
    ),
    Rule("telegram-token", (":aa",), r"[0-9]{8}:(AA[A-Za-z0-9_-]{33})", back=8),
    Rule("sendgrid-key", ("sg.",), r"SG\.[A-Za-z0-9_-]{20,24}\.[A-Za-z0-9_-]{39,50}", edge=True),
    Rule("mailgun-key", ("key-",), r"key-[0-9a-f]{32}", edge=True),
    Rule("mailchimp-key", ("-us",), r"[0-9a-f]{32}-us[0-9]{1,2}", back=32, edge=True),
    Rule("brevo-key", ("xkeysib-", "xsmtpsib-"), r"x(?:key|smtp)sib-[0-9a-f]{64}-[A-Za-z0-9]{16}"),
    Rule("resend-key", ("re_",), r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}", edge=True),
    Rule("twilio-key", tuple("sk" + digit for digit in _HEX), r"SK[0-9a-f]{32}", edge=True),
    # Money and shops
    Rule(
        "stripe-key",
        tuple(f"{kind}_{mode}_" for kind in ("sk", "rk") for mode in ("live", "test", "prod")),
        r"[rs]k_(?:live|test|prod)_[A-Za-z0-9]{10,}",
    ),
    Rule("stripe-webhook-secret", ("whsec_",), r"whsec_[A-Za-z0-9+/=]{24,}"),
    Rule("square-token", ("sq0atp-", "sq0csp-"), r"sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43}"),
    Rule("plaid-token", ("access-",), r"access-(?:sandbox|production|development)-[0-9a-f-]{36}"),
    Rule(
        "shopify-token",
        tuple(f"shp{kind}_" for kind in ("at", "ca", "pa", "ss", "tka", "ua")),
        r"shp(?:at|ca|pa|ss|tka|ua)_[0-9A-Fa-f]{32}",
    ),
    # Secrets about secrets
    Rule("vault-token", ("hvs.", "hvb.", "hvr."), r"hv[bsr]\.[A-Za-z0-9_-]{24,}", edge=True),
    Rule(
        "doppler-token",
        tuple(f"dp.{kind}." for kind in ("pt", "st", "ct", "sa", "said", "scim", "audit")),
        r"dp\.(?:pt|st|ct|sa|said|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}",
    ),
    Rule("age-key", ("age-secret-key-",), r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    Rule("1password-token", ("ops_eyj",), r"ops_eyJ[A-Za-z0-9+/=_-]{200,}"),
    # Watching and writing
    Rule("sentry-token", ("sntrys_",), r"sntrys_[A-Za-z0-9+/=_-]{40,}"),
    Rule("sentry-token", ("sntryu_",), r"sntryu_[0-9a-f]{64}"),
    Rule("new-relic-key", ("nrak-",), r"NRAK-[A-Z0-9]{27}"),
    Rule("new-relic-key", ("nrii-", "nriq-"), r"NRI[IQ]-[A-Za-z0-9_-]{32}"),
    Rule("new-relic-key", ("nrra-", "nrjs-"), r"NR(?:RA-[0-9a-f]{42}|JS-[0-9a-f]{19})"),
    Rule("new-relic-key", ("nral",), r"[0-9A-Fa-f]{36}NRAL", back=36),
    Rule("grafana-token", ("glsa_",), r"glsa_[A-Za-z0-9]{32}_[0-9A-Fa-f]{8}"),
    Rule("grafana-token", ("glc_eyj",), r"glc_eyJ[A-Za-z0-9+/=_-]{32,}"),
    Rule("linear-key", ("lin_api_", "lin_oauth_"), r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}"),
    Rule("notion-token", ("ntn_",), r"ntn_[A-Za-z0-9]{40,}"),
    Rule("notion-token", ("secret_",), r"secret_[A-Za-z0-9]{43}", edge=True),
    Rule("contentful-token", ("cfpat-",), r"CFPAT-[A-Za-z0-9_-]{43}"),
    Rule("prefect-key", ("pnu_", "pnb_"), r"pn[bu]_[A-Za-z0-9]{36}"),
)
