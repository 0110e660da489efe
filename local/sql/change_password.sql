ALTER USER {user} PASSWORD {password};
