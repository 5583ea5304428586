DROP TABLE marketing_social_accounts;
