CREATE USER {user} PASSWORD {password};
