DROP TABLE marketing_campaign_email_lists;
DROP TABLE marketing_email_bounces;
DROP TABLE marketing_email_subscribers;
DROP TABLE marketing_email_lists;
