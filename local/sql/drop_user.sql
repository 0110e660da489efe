DROP USER {user};
