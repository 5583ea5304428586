DROP TABLE marketing_campaigns;
